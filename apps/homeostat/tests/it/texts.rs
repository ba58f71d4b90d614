//! The pages about texts, as written: their commands run on small data.

use serde_json::Value;

use crate::place::{Place, says};

/// The commands of a page, each as its words.
fn commands(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("$ homeostat "));
    let commands: Vec<Vec<String>> = lines.map(|line| words(line.split(" #").next().unwrap_or(line))).collect();
    assert!(commands.len() > 2, "{page}");
    commands
}

/// The words of a line; what stands between quotes is one.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in line.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn texts_are_classified_as_the_page_says() {
    let place = Place::new();
    let mut table = "text,label\n".to_owned();
    for number in 0..40 {
        table += &format!("where is my card number {number},card\nwhat is the rate of day {number},rate\n");
    }
    place.write("mails/train.csv", table);
    for command in commands(include_str!("../../../../docs/texts.md")) {
        let out = place.well(&command);
        if command[0] == "predict" {
            says(&out, &["is my card lost", "card"]);
        }
    }
}

#[test]
fn texts_are_found_as_the_page_says() {
    let place = Place::new();
    let things = ["card", "phone", "letter", "key", "bag", "coat"];
    let mut table = "id,question,answer\n".to_owned();
    for thing in things {
        for (number, verb) in ["get", "lose", "send", "buy", "find", "sell", "mend", "wash"].into_iter().enumerate() {
            table += &format!("{thing}-{number},how do i {verb} a new {thing},to {verb} the {thing} you call us\n");
        }
    }
    place.write("questions/faq.csv", table);
    // The page's experiment with a small network in the place of MiniLM.
    let page = include_str!("../../../../docs/search.md");
    let text = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let small = "model.transformer = { width = 24, depth = 1, heads = 2, hidden = 48, dropout = 0.0 }";
    let lines = text.lines().filter(|line| !line.starts_with("pretrained") && !line.starts_with("epochs"));
    let lines = lines.map(|line| match line.split(' ').next() {
        Some("model.transformer") => small,
        Some("tokenizer.file") => "tokenizer.train = { size = 90 }",
        Some("batch-size") => "batch-size = 8\nepochs = 12",
        Some("optimizer.adamw") => "optimizer.adamw = { learning-rate = 1e-2 }",
        _ => line,
    });
    place.write("questions.toml", lines.collect::<Vec<_>>().join("\n"));
    for command in commands(page) {
        let out = place.well(&command);
        match command[1].as_str() {
            "ask" => {
                says(&out, &["how do i get a new card", "score", "card-"]);
                let json = [&command[..], &["--json".to_owned()]].concat();
                let found: Value = place.json(&json).remove(0);
                assert_eq!(found["found"].as_array().unwrap().len(), 3);
                let graph = place.json(&[&json[..], &["--graph".to_owned()]].concat()).remove(0);
                assert_eq!(graph["found"], found["found"], "48 texts: the graph finds the same");
            }
            "index" => says(&out, &["48 texts in faq.index"]),
            _ => {}
        }
    }
    // Another artifact's vectors mean something else.
    place.well(&["train", "questions.toml", "--quiet", "epochs=1"]);
    let refused = place.refused(&["search", "ask", "runs/latest", "faq.index", "a card"]);
    says(&refused, &["faq.index", "another artifact"]);
    let refused = place.refused(&["predict", "runs/latest", "--text", "a card"]);
    says(&refused, &["--format jsonl", "homeostat search"]);
    let digits = Place::with_run();
    let refused = digits.refused(&["search", "index", "runs/latest", "none.csv", "index"]);
    says(&refused, &["only a sentence embedding gives texts their vectors"]);
}
