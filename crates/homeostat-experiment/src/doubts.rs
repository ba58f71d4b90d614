//! What is suspicious in data, in sentences. It does not know what is done about it.

use homeostat_data::{ClassCount, Description};

/// Fewer samples than this teach a class badly.
const TINY: usize = 20;
/// A class this many times as large as another outweighs it.
pub(crate) const IMBALANCE: usize = 5;

/// What is suspicious, the gravest first.
pub(crate) fn doubts(description: &Description) -> Vec<String> {
    let mut doubts = Vec::new();
    let mut doubt = |is: bool, text: String| {
        if is {
            doubts.push(text);
        }
    };
    let leaks = description.leaks().count();
    doubt(
        leaks > 0,
        format!(
            "{} in several parts of the data, so what is learnt from is measured with: the figures of the test will be too good. Take them out of one part.",
            stand(leaks)
        ),
    );
    let contradictions = description.contradictions().count();
    doubt(
        contradictions > 0,
        format!(
            "{} under several classes: one of the labels is wrong, or both are right and the classes overlap.",
            stand(contradictions)
        ),
    );
    let several =
        description.classes.iter().find_map(|class| Some((&class.name, separator(&class.name, description)?)));
    if let Some((name, separator)) = several {
        doubt(
            true,
            format!(
                "`{name}` looks like several classes of one sample, and an empty label may be none of them: if so, say what stands between them, \
                 as in init table:FOLDER,label-separator=\"{separator}\"."
            ),
        );
    }
    let broken = description.corrupt.len() + description.missing.len();
    doubt(
        broken > 0,
        format!("{broken} samples are broken or missing: mend them, or leave them out with data.on-corrupt=skip."),
    );
    let near = description.near_duplicates.len();
    doubt(
        near > 0,
        format!(
            "{near} groups of samples look the same but are not of the same content: a random division may put them on both sides."
        ),
    );
    let repeated = description.repeated();
    doubt(
        repeated > 0,
        format!(
            "{repeated} samples repeat the content of another one: they count double. A random division keeps them on one side."
        ),
    );
    let learnt = |class: &ClassCount| if class.train > 0 { class.train } else { class.unassigned };
    let sizes: Vec<(usize, &str)> =
        description.classes.iter().map(|class| (learnt(class), class.name.as_str())).collect();
    if let (Some((least, small)), Some((most, large))) = (sizes.iter().min(), sizes.iter().max()) {
        doubt(
            *most >= IMBALANCE * (*least).max(1),
            format!(
                "the classes are unequal: {most} samples of `{large}`, but {least} of `{small}`. Look at macro-f1 rather than accuracy."
            ),
        );
        let tiny = sizes.iter().filter(|(count, _)| *count < TINY).count();
        let (have, them) = if tiny == 1 { ("class has", "it") } else { ("classes have", "them") };
        doubt(
            tiny > 0,
            format!(
                "{tiny} {have} fewer than {TINY} samples to learn from, `{small}` only {least}: add some, or expect little of {them}."
            ),
        );
    }
    doubts
}

/// What stands between names of other classes in this one.
fn separator(name: &str, description: &Description) -> Option<char> {
    let is_class = |part: &str| description.classes.iter().any(|class| class.name == part.trim());
    [';', '|', ','].into_iter().find(|&separator| name.contains(separator) && name.split(separator).all(is_class))
}

fn stand(groups: usize) -> String {
    if groups == 1 {
        "1 group of alike samples stands".to_owned()
    } else {
        format!("{groups} groups of alike samples stand")
    }
}
