//! The page: what it promises to a reader, and that nothing in the data can harm it.

use base64::{Engine, prelude::BASE64_STANDARD};
use homeostat_report::{
    AlikeSection, ClassRow, Classification, DataReport, Decision, Headline, Histogram, LengthRow, Lengths, Mistake,
    Picture, PictureRow, Point, Reliability, ReliabilityBin, Report, Series, Shown, State, Value,
};
use sha2::{Digest, Sha256};

use crate::sample;

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Elements without an end.
const VOID: [&str; 5] = ["meta", "br", "wbr", "img", "!doctype"];

/// The page between its tags `<main>`, that is, without style and script.
fn body(page: &str) -> &str {
    let (_, rest) = page.split_once("<main>").expect("a body");
    rest.split_once("</main>").expect("the body's end").0
}

/// Every tag in order, as its name and the names of its attributes; values have to be quoted.
fn tags(mut html: &str) -> Vec<String> {
    let mut tags = Vec::new();
    while let Some((_, rest)) = html.split_once('<') {
        let (mut tag, mut quoted, mut end) = (String::new(), false, rest.len());
        for (at, character) in rest.char_indices() {
            match character {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = at;
                    break;
                }
                _ if quoted => {}
                '\'' | '<' => panic!("a stray {character} in <{tag}"),
                _ => tag.push(character),
            }
        }
        assert!(!quoted && end < rest.len(), "<{tag} has no end");
        tags.push(tag);
        html = &rest[end + 1..];
    }
    tags
}

/// Fails unless every element is closed in its order.
fn check_nesting(page: &str) {
    let mut open = Vec::new();
    for tag in tags(body(page)) {
        let name = tag.split([' ', '/']).next().unwrap_or_default().to_owned();
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "{open:?}");
        } else if !tag.ends_with('/') && !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert_eq!(open, Vec::<String>::new());
}

/// A report in which every text is `text`, but for those that choose the drawing.
fn filled_with(text: &str) -> Report {
    let own = || text.to_owned();
    let point = |step| Point { step, epoch: 0.5, value: 1.0 / step as f64 };
    let series = |name: String, part: String| Series { name, part, points: vec![point(1), point(2)] };
    let row = || ClassRow { name: own(), precision: 0.5, recall: 0.5, f1: 0.5, support: 2 };
    let bin = ReliabilityBin { count: 2, confidence: 0.7, accuracy: 0.5 };
    let mistake =
        |png| Mistake { shown: Shown::Picture(png), name: own(), truth: own(), predicted: own(), confidence: 0.7 };
    Report {
        title: own(),
        when: own(),
        state: State::Failed(own()),
        headlines: vec![Headline { label: own(), value: Value::Text(own()), note: own() }],
        curves: vec![series("loss".into(), "train".into()), series("loss".into(), own()), series(own(), own())],
        rate: vec![point(1)],
        chosen_step: Some(2),
        decisions: vec![Decision { step: 1, controller: own(), action: own(), reason: own() }],
        classification: Some(Classification {
            part: own(),
            classes: vec![own(), own()],
            confusion: vec![vec![1, 1], vec![0, 2]],
            per_class: vec![row(), row()],
            reliability: Some(Reliability { bins: vec![bin], accuracy_interval: (0.0, 0.0), calibration_error: 0.2 }),
            mistakes: vec![mistake(sample::png(8, 1)), mistake(Vec::new())],
            lengths: Lengths { figure: own(), rows: vec![LengthRow { from: 1, to: 2, count: 3, accuracy: f64::NAN }] },
        }),
        augmented: vec![Picture { png: sample::png(8, 1), caption: own() }],
        made: vec![Picture { png: sample::png(8, 1), caption: own() }],
        written: vec![homeostat_report::Written { prompt: own(), text: own(), how: own() }],
        answered: vec![homeostat_report::Written { prompt: own(), text: own(), how: own() }],
        data: homeostat_report::DataSummary { parts: vec![own()], classes: vec![(own(), vec![3])] },
        skipped: vec![homeostat_report::Skipped { name: own(), reason: own() }],
        config: format!("{text}\nname = \"{text}\" # default\nname = 1 # {text}"),
        environment: vec![(own(), own())],
        next: vec![homeostat_report::Command { what: own(), line: own() }],
    }
}

/// The page about data, likewise.
fn data_filled_with(text: &str) -> DataReport {
    let own = || text.to_owned();
    let row = || PictureRow { title: own(), pictures: vec![Picture { png: sample::png(8, 1), caption: own() }] };
    DataReport {
        title: own(),
        when: own(),
        headlines: vec![Headline { label: own(), value: Value::Text(own()), note: own() }],
        doubts: vec![own()],
        classes: homeostat_report::DataSummary { parts: vec![own()], classes: vec![(own(), vec![3])] },
        samples: vec![row()],
        histograms: vec![Histogram { title: own(), bins: vec![(own(), 3), (own(), 0)] }],
        facts: vec![(own(), own())],
        alike: vec![AlikeSection { title: own(), meaning: own(), groups: vec![row()], all: 7 }],
        broken: vec![homeostat_report::Skipped { name: own(), reason: own() }],
        next: vec![homeostat_report::Command { what: own(), line: own() }],
    }
}

#[test]
fn an_empty_description_is_a_page() {
    check_nesting(&DataReport::default().render());
}

#[test]
fn text_from_outside_never_becomes_markup() {
    let plain = tags(&filled_with("cat").render());
    let plain_data = tags(&data_filled_with("cat").render());
    for nasty in [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "' onmouseover='alert(1)",
        "</title></style></script><b>",
        "<!--",
        "&lt;b&gt; {} {0} %s",
        "\0\u{7}\u{1b}[31m\u{202e}gnp.exe",
        "]]><![CDATA[",
    ] {
        let page = filled_with(nasty).render();
        assert_eq!(tags(&page), plain, "{nasty}");
        assert_eq!(tags(&data_filled_with(nasty).render()), plain_data, "{nasty}");
        check_nesting(&data_filled_with(nasty).render());
        check_nesting(&page);
        assert!(!page.contains(['\0', '\u{7}', '\u{1b}']));
    }
    assert!(filled_with("&lt;b&gt;").render().contains("&amp;lt;b&amp;gt;"), "text is shown as it was given");
}

#[test]
fn the_page_fetches_nothing_and_runs_its_own_script_only() {
    let page = sample::report(&DIGITS).render();
    let foreign: Vec<_> = page.match_indices("//").filter(|(at, _)| page[..*at].ends_with(':')).collect();
    assert!(foreign.iter().all(|(at, _)| page[*at..].starts_with("//www.w3.org/2000/svg\"")), "{foreign:?}");
    for fetching in ["<link", "@import", "url(", "<iframe", "fetch(", "XMLHttp"] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    assert!(
        page.match_indices(" src=\"").all(|(at, src)| page[at + src.len()..].starts_with("data:image/png;base64,"))
    );
    let (_, script) = page.split_once("<script>").expect("a script");
    let (script, rest) = script.split_once("</script>").expect("the script's end");
    assert!(!rest.contains("<script"));
    let policy = format!("script-src 'sha256-{}'", BASE64_STANDARD.encode(Sha256::digest(script)));
    assert!(page.contains(&policy), "the policy allows the script");
}

#[test]
fn every_part_of_a_run_is_on_the_page() {
    let report = sample::report(&DIGITS);
    let page = report.render();
    check_nesting(&page);
    for title in [
        "Learning",
        "Confusions",
        "Classes",
        "Confidence",
        "Worst mistakes",
        "What it saw",
        "Data",
        "Left out",
        "Settings",
        "Environment",
        "Next",
    ] {
        assert!(page.contains(&format!("<h2>{title}</h2>")), "{title}");
    }
    for decision in &report.decisions {
        assert_eq!(
            page.matches(&decision.reason).count(),
            3,
            "in the table, and on both drawings of the loss: {decision:?}"
        );
    }
    for (name, value) in &report.environment {
        assert!(page.contains(name) && page.contains(value), "{name}");
    }
    for picture in report.augmented.iter().map(|picture| &picture.png) {
        assert!(page.contains(&BASE64_STANDARD.encode(picture)));
    }
    for text in
        ["98.89", "121\u{202f}930", "homeostat verify runs/latest", "chosen: from the training split", "0412.jpg"]
    {
        assert!(page.contains(text), "{text}");
    }
    assert_eq!(page.matches("<img").count(), report.augmented.len() + 11);
}

#[test]
fn an_empty_report_is_a_page_without_sections() {
    let page = Report::default().render();
    check_nesting(&page);
    assert!(!page.contains("<section>") && page.contains("Finished."));
}

#[test]
fn no_number_breaks_the_page() {
    let numbers = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
        5e-324,
        1e9,
    ];
    let steps = [0, 1, 2, 1_000_000, u64::MAX];
    for first in numbers {
        for second in numbers {
            let curve = |points: &[(u64, f64)]| {
                let points = points.iter().map(|&(step, value)| Point { step, epoch: first, value }).collect();
                Series { name: "loss".into(), part: "valid".into(), points }
            };
            let bin = ReliabilityBin { count: 1, confidence: first, accuracy: second };
            let row = ClassRow { name: "a".into(), precision: first, recall: second, f1: first, support: u64::MAX };
            let mistake = Mistake {
                shown: Shown::Picture(vec![1]),
                name: String::new(),
                truth: "a".into(),
                predicted: "b".into(),
                confidence: first,
            };
            let curves = vec![
                curve(&[]),
                curve(&[(7, first)]),
                curve(&steps.map(|step| (step, if step % 2 == 0 { first } else { second }))),
            ];
            let report = Report {
                headlines: [Value::Share(first), Value::Number(first), Value::Seconds(first)]
                    .map(|value| Headline { label: String::new(), value, note: String::new() })
                    .to_vec(),
                rate: curves[1].points.clone(),
                curves,
                chosen_step: Some(7),
                decisions: vec![Decision {
                    step: u64::MAX,
                    controller: "guard".into(),
                    action: "fail".into(),
                    reason: String::new(),
                }],
                classification: Some(Classification {
                    classes: vec!["a".into(), "b".into()],
                    confusion: vec![vec![], vec![1, 2, 3]],
                    per_class: vec![row],
                    reliability: Some(Reliability {
                        bins: vec![bin],
                        accuracy_interval: (first, second),
                        calibration_error: second,
                    }),
                    mistakes: vec![mistake],
                    ..Classification::default()
                }),
                ..Report::default()
            };
            let page = report.render();
            check_nesting(&page);
            assert!(page.contains("no picture"));
        }
    }
}

#[test]
fn a_value_that_is_not_finite_interrupts_the_line() {
    let values = [1.0, 0.9, f64::NAN, 0.8, 0.7];
    let points = (1..).zip(values).map(|(step, value)| Point { step, epoch: 0.0, value }).collect();
    let report =
        Report { curves: vec![Series { name: "accuracy".into(), part: "valid".into(), points }], ..Report::default() };
    let page = report.render();
    assert_eq!(page.matches("<polyline").count(), 2);
    assert_eq!(page.matches("class=\"cross\"").count(), 1);
    assert!(page.contains("step 3: NaN") && page.contains("not finite"));
}

#[test]
fn a_long_run_is_no_long_page() {
    let points: Vec<Point> =
        (1..=200_000).map(|step| Point { step, epoch: 0.0, value: 1.0 + (step % 97) as f64 }).collect();
    let curve = |part: &str| Series { name: "loss".into(), part: part.into(), points: points.clone() };
    let page =
        Report { curves: vec![curve("train"), curve("valid")], rate: points.clone(), ..Report::default() }.render();
    assert!(page.len() < 1_000_000, "{}", page.len());
}

#[test]
fn many_classes_degrade_to_a_map_and_then_to_a_table() {
    let names: Vec<String> = (0..600).map(|index| format!("class-{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (classes, matrix, map, folded) in [
        (10, true, false, false),
        (24, true, false, false),
        (25, false, true, false),
        (200, false, true, true),
        (600, false, false, true),
    ] {
        let page = sample::report(&names[..classes]).render();
        check_nesting(&page);
        assert_eq!(page.contains("<table class=\"matrix"), matrix, "{classes}");
        assert_eq!(page.contains("<figure class=\"map\">"), map, "{classes}");
        assert_eq!(page.contains("All classes ("), folded, "{classes}");
        assert!(page.contains("Most frequent confusions"), "{classes}");
        assert!(page.len() < 3_000_000, "{classes}: {}", page.len());
    }
}

#[test]
fn the_worst_mistakes_are_few() {
    let mut report = sample::report(&DIGITS);
    report.augmented.clear();
    if let Some(classification) = &mut report.classification {
        let mistake = classification.mistakes[0].clone();
        classification.mistakes = vec![mistake; 100];
    }
    assert_eq!(report.render().matches("<img").count(), 32);
}

#[test]
fn texts_have_room_and_long_names_break_at_their_underscores() {
    let page = sample::texts().render();
    check_nesting(&page);
    let said = "<span>said <b>card_<wbr>payment_<wbr>fee_<wbr>charged</b></span>";
    assert!(page.contains("<div class=\"pictures texts\">") && page.contains(said));
    assert!(page.contains("title=\"balance_not_updated_after_bank_transfer\""), "a cut name can be read");
    assert!(page.contains("<td>balance_<wbr>not_<wbr>updated_<wbr>after_<wbr>bank_<wbr>transfer</td>"));
    assert!(page.contains("Most frequent confusions (1 error)"));
    assert!(!sample::report(&DIGITS).render().contains("pictures texts"), "pictures stand close together");
}

#[test]
fn settings_that_are_not_set_do_not_look_chosen() {
    let page = sample::texts().render();
    assert!(page.contains("<span class=\"default\"># max-steps =             # not set\n</span>"));
    assert!(page.contains("<b>epochs = 15              </b><span class=\"origin\"> # command line</span>"));
}

#[test]
fn lengths_are_cut_into_ranges_of_about_as_many_texts() {
    let texts = [5, 1, 1, 2, 9, 1, 3, 40].map(|words| (words, words > 1)).to_vec();
    let rows = LengthRow::ranges(texts, 4);
    let found: Vec<_> = rows.iter().map(|row| (row.from, row.to, row.count, row.accuracy)).collect();
    // Three texts have one word: they are not torn apart.
    assert_eq!(found, [(1, 1, 3, 0.0), (2, 3, 2, 1.0), (5, 9, 2, 1.0), (40, 40, 1, 1.0)]);
    assert!(LengthRow::ranges(Vec::new(), 5).is_empty());
    let page = sample::report(&["a", "b"]).render();
    assert!(page.contains("<h2>Length</h2>") && page.contains("<th scope=\"col\">words</th>"));
    assert!(page.contains("<th scope=\"col\" class=\"n\">accuracy</th>"));
}
