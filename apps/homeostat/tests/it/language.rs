//! A language model from the command line: the page about it as it is written, and what is refused.

use crate::{
    page::{blocks, commands},
    place::{Place, says, text},
};

/// A play that a small network learns a little of.
fn plays(place: &Place) {
    let scene = |number: usize| -> String {
        let line = |at: usize| match at % 3 {
            0 => format!("KING: Good morrow, my lord of {}.\n", ["York", "Kent", "Wales"][at * number % 3]),
            1 => "LORD: I thank you, my king.\n".to_owned(),
            _ => "EXIT the lord, and the king weeps.\n\n".to_owned(),
        };
        (0..90).map(line).collect()
    };
    place.write("plays/one.txt", scene(1));
    place.write("plays/two.txt", scene(2));
}

#[test]
fn the_page_runs_as_it_is_written() {
    let page = include_str!("../../../../docs/language-model.md");
    let place = Place::new();
    plays(&place);
    place.write("plays.toml", blocks(page, "toml")[0]);
    let commands = commands(page);
    let lines = blocks(page, "console").into_iter().flat_map(str::lines).count();
    assert_eq!(lines, commands.len(), "each line is a command");
    assert!(commands.len() > 8, "{commands:?}");
    let mut written = Vec::new();
    for words in commands {
        let said = place.well(&words);
        if words[0] == "generate" {
            written.push(said);
        }
    }
    assert!(written[..3].iter().all(|text| text.starts_with("KING") && text.len() > 5), "{written:?}");
    assert!(!written[2]["KING".len()..].contains("EXIT"), "{}", written[2]);
    let words = ["generate", "runs/latest", "--prompt", "KING", "--max-tokens", "80", "--temperature", "0.6", "--seed"];
    let again = |seed| place.well(&[&words[..], &[seed]].concat());
    assert_eq!(again("3"), written[1], "the same seed gives the same text");
    assert_ne!(again("4"), written[1], "another seed gives another");

    // Served, it writes what it writes here.
    let served = crate::serving::serve_in(&place, &["runs/latest"]);
    let body = r#"{"text_input": "KING", "parameters": {"max_tokens": 80, "temperature": 0.6, "seed": 3}}"#;
    let (status, answer) = served.ask("POST", "/v2/models/plays/generate", body.as_bytes());
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let same = format!("KING{}", answer["text_output"].as_str().unwrap());
    assert_eq!(same.trim_end(), written[1].trim_end());
    let (status, events) = served.ask("POST", "/v2/models/plays/generate_stream", body.as_bytes());
    let pieces = events.lines().filter_map(|line| line.strip_prefix("data: "));
    let pieces: Vec<serde_json::Value> = pieces.map(|piece| serde_json::from_str(piece).unwrap()).collect();
    let text: String = pieces.iter().map(|piece| piece["text_output"].as_str().unwrap()).collect();
    assert_eq!((status, text.as_str()), (200, answer["text_output"].as_str().unwrap()));
    assert_eq!(served.stop("TERM"), Some(0));

    // What the page does not say: prompts that are too long or none, other kinds, names of others.
    let long = "my lord of York ".repeat(20);
    let output = place.run(&["generate", "runs/latest", "--prompt", &long, "--max-tokens", "3"]);
    assert!(output.status.success());
    says(&crate::place::text(&output.stderr), &["more than 48 tokens", "its beginning is cut off"]);
    let output = place.run(&["predict", "runs/latest", "--text", &long, "--text", "KING", "--format", "jsonl"]);
    says(&crate::place::text(&output.stderr), &["1 of 2 texts have more than 48 tokens: their beginnings are cut off"]);
    let answers = crate::place::text(&output.stdout);
    assert_eq!(answers.lines().map(|line| line.contains("\"cut\":true")).collect::<Vec<_>>(), [true, false]);
    says(&place.refused(&["generate", "runs/latest", "--prompt", ""]), &["the prompt is empty"]);
    says(&place.refused(&["generate", "runs/latest", "--prompt", "a", "--top-p", "2"]), &["`top-p` is 2"]);
    let cold = ["generate", "runs/latest", "--prompt", "a", "--temperature", "-1"];
    says(&place.refused(&cold), &["`temperature` is -1"]);
    place.write("empty.txt", "\n");
    let output = place.run(&["predict", "runs/latest", "empty.txt", "--format", "csv"]);
    says(&crate::place::refusal(&output), &["there is nothing to answer"]);
    says(&place.refused(&["models", "export", "runs/latest", "w.safetensors"]), &["has no names but ours"]);
    says(&place.refused(&["inspect", "plays.toml"]), &["is about texts that are gone on with", "shows pictures"]);
}

#[test]
fn what_does_not_write_says_so() {
    let place = Place::with_run();
    says(&place.refused(&["generate", "runs/latest", "--prompt", "a"]), &["only a language model writes"]);
}

#[test]
fn a_corpus_is_described_and_what_a_tokenizer_loses_of_it_is_told() {
    let place = Place::new();
    plays(&place);
    place.write("plays.toml", blocks(include_str!("../../../../docs/language-model.md"), "toml")[0]);
    says(&place.well(&["init", "plays", "--out", "drafted.toml", "--train", "epochs=1"]), &["nats-per-character"]);
    let described = place.well(&["data", "describe", "plays.toml"]);
    says(&described, &["plays: 2 samples\n", "vocabulary: ", "leaks: 0 groups in several parts\n"]);
    says(&place.refused(&["data", "describe", "online-retail"]), &["online-retail is about who bought what"]);
    says(&place.well(&["data", "tokenizer", "plays.toml", "--out", "plays.json"]), &["tokens from 1 texts"]);

    let warned = |words: &[&str]| {
        let always = ["train", "plays.toml", "epochs=1", "train.max-steps=1", "data.split=given"];
        let output = place.run(&[&always[..], words].concat());
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        said
    };
    std::fs::rename(place.path("plays/one.txt"), place.path("plays/train.txt")).unwrap();
    std::fs::rename(place.path("plays/two.txt"), place.path("plays/valid.txt")).unwrap();
    let lossless = warned(&[]);
    assert!(!lossless.contains("flatter"), "{lossless}");
    let small = warned(&["data.corpus.tokenizer.train={ kind = 'bpe', size = 300 }"]);
    says(
        &small,
        &["the tokenizer does not give a text back as it was (capitals, spaces): figures by character flatter"],
    );
    let valid = std::fs::read_to_string(place.path("plays/valid.txt")).unwrap();
    place.write("plays/valid.txt", valid + "\u{65e5}\u{672c}\n");
    says(&warned(&[]), &["2 of ", " validation tokens stand for what the tokenizer does not know"]);
    let asked = place.run(&["generate", "runs/latest", "--prompt", "KING \u{65e5}", "--max-tokens", "2"]);
    says(&text(&asked.stderr), &["1 of the 6 tokens of the prompt stand for what the network does not know"]);
}
