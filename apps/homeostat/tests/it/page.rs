//! Pages of the documentation, cut into what a reader would run. It does not know what they are about.

/// The blocks of a language on a page.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The commands of a page in their order, each as the words after `homeostat`, without what is said behind a ` #`.
pub(crate) fn commands(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("$ homeostat "));
    let commands: Vec<Vec<String>> = lines.map(|line| words(line.split(" #").next().unwrap_or(line))).collect();
    assert!(!commands.is_empty(), "{page}");
    commands
}

/// The words of a line; what stands between quotes is one.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate();
    let words = parts.flat_map(|(at, part)| {
        let quoted = at % 2 == 1;
        if quoted { vec![part.to_owned()] } else { part.split_whitespace().map(str::to_owned).collect() }
    });
    words.collect()
}
