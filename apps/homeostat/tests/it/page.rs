//! Pages of the documentation, cut into what a reader would run. It does not know what they are about.

/// The blocks of a language on a page.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

/// The commands of a page in their order, each as the words after `homeostat`, without what is said behind a ` #`.
///
/// # Panics
/// If a line of a block of the console begins with `$` and is none.
pub(crate) fn commands(page: &str) -> Vec<Vec<String>> {
    let lines = blocks(page, "console").into_iter().flat_map(str::lines).filter(|line| line.starts_with('$'));
    let command = |line: &str| {
        let line = line.strip_prefix("$ homeostat ").unwrap_or_else(|| panic!("no command of ours: {line}"));
        words(line.split(" #").next().unwrap_or(line))
    };
    lines.map(command).collect()
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
