//! The pages about texts, as written: their commands run on small data.

use std::{collections::BTreeMap, fs, process::Output};

use homeostat_models::bert_weights;
use homeostat_task::read_foreign;
use serde_json::Value;

use crate::{
    page::{blocks, commands},
    place::{Place, says},
};

/// What was printed, and what was warned of.
fn said(output: &Output) -> (String, String) {
    (crate::place::text(&output.stdout), crate::place::text(&output.stderr))
}

#[test]
fn texts_are_classified_as_the_page_says() {
    let place = Place::new();
    let mut table = "text,label\n".to_owned();
    for number in 0..40 {
        table += &format!("where is my card number {number},card\nwhat is the rate of day {number},rate\n");
    }
    place.write("mails/train.csv", table);
    place.write("new.csv", "text,label\nwhere is my card number 5,card\nwhere is my old card,card\nwho are you,chat\n");
    // Another root comes first, and has no such file.
    fs::create_dir(place.path("elsewhere")).unwrap();
    let page = include_str!("../../../../docs/texts.md");
    assert!(commands(page).len() > 2, "{page}");
    for command in commands(page) {
        let out = place.well(&command);
        if command[0] == "predict" {
            says(&out, &["is my card lost", "card"]);
        }
        if command.iter().any(|word| word == "new.csv") {
            let rooted = place.well(&[&command[..], &["--data-root".to_owned(), "elsewhere".to_owned()]].concat());
            assert_eq!(rooted, out, "wherever other data are looked for");
            says(&out, &["accuracy", "without 1 samples: they cannot be used"]);
        }
    }
    place.write("by-hand.toml", blocks(page, "toml")[0]);
    says(&place.well(&["train", "by-hand.toml"]), &["accuracy", "macro-f1"]);
    let export = ["models", "export", "runs/latest", "weights.safetensors"];
    says(&place.refused(&export), &["` has no names but ours: read ", "/artifact/model.safetensors itself"]);
}

/// The built-in experiment with random weights of MiniLM's shape in their place, and the page's blocks with a file in the place of the hub.
#[test]
fn low_rank_changes_are_learnt_as_the_page_says() {
    let place = Place::new();
    let rows = |numbers: std::ops::Range<u32>| -> String {
        let row = |number| format!("where is my card {number},card\nwhat is the rate of day {number},rate\n");
        "text,category\n".to_owned() + &numbers.map(row).collect::<String>()
    };
    place.write("DATA/banking77/train.csv", rows(0..8));
    place.write("DATA/banking77/test.csv", rows(8..10));
    let head = |name: &str| {
        format!(
            r#"name = "{name}"
[task.text-classification]
prepare = {{ max-length = 12 }}
model.transformer = {{ width = 384, depth = 6, heads = 12, hidden = 1536 }}
[data]
split.given = {{ valid = 0.1 }}
[data.text]
source.table = {{ folder = "banking77", label = "category" }}
"#
        )
    };
    place.write("base.toml", head("base") + "tokenizer.train = { size = 60 }\n[train]\nepochs = 1\n");
    place.well(&["train", "base.toml", "--quiet", "--data-root", "DATA"]);
    let minilm = place.path("DATA/models/all-minilm-l6-v2");
    fs::create_dir_all(&minilm).unwrap();
    for (from, to) in [("model.safetensors", "model.safetensors"), ("assets/tokenizer.json", "tokenizer.json")] {
        fs::copy(place.path("runs/latest/artifact").join(from), minilm.join(to)).unwrap();
    }
    let page = include_str!("../../../../docs/lora.md");
    assert_eq!(commands(page).len(), 1, "{page}");
    for command in commands(page) {
        let (out, told) = said(&place.run(&command));
        says(&told, &[" parameters, of which ", " learn, "]);
        says(&out, &["accuracy", "homeostat predict"]);
    }
    let left = blocks(page, "text")[0].lines().filter_map(|line| line.split_whitespace().next());
    let left: Vec<&str> = left.filter(|word| !word.starts_with("runs/")).collect();
    assert_eq!(left.len(), 5, "{left:?}");
    left.iter().for_each(|name| assert!(place.path("runs/latest").join(name).is_file(), "{name}"));

    let blocks = blocks(page, "toml");
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    let here = |block: &str| {
        block.replace("hf:sentence-transformers/all-MiniLM-L6-v2", "models/all-minilm-l6-v2/model.safetensors")
    };
    let tokenizer = "tokenizer.file = \"models/all-minilm-l6-v2/tokenizer.json\"\n";
    place.write("changes.toml", head("changes") + tokenizer + &here(blocks[0]));
    place.well(&["train", "changes.toml", "--quiet", "--data-root", "DATA", "epochs=1"]);
    crate::place::copy(&place.path("runs/latest/adapter"), &place.path("DATA/adapters/mine"));
    place.write("merged.toml", head("merged") + tokenizer + "[train]\n" + &here(blocks[1]));
    place.well(&["train", "merged.toml", "--quiet", "--data-root", "DATA", "epochs=1"]);
}

#[test]
fn all_classes_that_are_answered_with_yes_are_told() {
    let place = Place::new();
    let mut table = "text,label\n".to_owned();
    for number in 0..24 {
        table += &format!("the dog number {number} barks,dog\na cat of {number} years purrs,cat\n");
        table += &format!("dog {number} and a cat bark and purr,dog;cat\nnobody is in room {number},\n");
    }
    place.write("pets/pets.csv", table);
    place.write(
        "pets.toml",
        r#"name = "pets"
[task.text-classification]
prepare = { max-length = 12 }
model.transformer = { width = 16, depth = 1, heads = 2, hidden = 32, positions = 12 }
loss.binary-cross-entropy = {}
[data]
split.stratified = { valid = 0.2, test = 0.2 }
[data.text]
source.table = { folder = "pets", label-separator = ";" }
tokenizer.train = { size = 60 }
[train]
epochs = 12
batch-size = 8
optimizer.adamw = { learning-rate = 1e-2 }
schedule.constant = {}
"#,
    );
    place.well(&["train", "pets.toml", "--quiet"]);
    let texts = ["dog 3 and a cat bark and purr", "the dog number 5 barks", "nobody is in room 4"];
    let asked = |format| {
        let texts = texts.iter().flat_map(|text| ["--text", *text]);
        let words: Vec<&str> = ["predict", "runs/latest", "--format", format].into_iter().chain(texts).collect();
        place.well(&words)
    };
    let answers: Vec<Value> = asked("jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let labels = |answer: &Value| -> Vec<String> { serde_json::from_value(answer["labels"].clone()).unwrap() };
    let yes = |answer: &Value| -> Vec<String> {
        let top = answer["top"].as_object().unwrap().iter();
        let mut yes: Vec<String> =
            top.filter(|(_, p)| p.as_f64().unwrap() >= 0.5).map(|(label, _)| label.clone()).collect();
        yes.sort();
        yes
    };
    assert_eq!(answers.iter().map(labels).collect::<Vec<_>>(), answers.iter().map(yes).collect::<Vec<_>>());
    assert_eq!(labels(&answers[0]), ["cat", "dog"], "{answers:?}");
    let (csv, table) = (asked("csv"), asked("table"));
    says(csv.lines().next().unwrap(), &["text,label,confidence,label-2,confidence-2,labels,error"]);
    assert!(csv.lines().nth(1).unwrap().ends_with(",cat;dog,"), "{csv}");
    says(table.lines().next().unwrap(), &["answer", "labels"]);
    assert!(table.lines().nth(1).unwrap().ends_with("  cat, dog"), "{table}");
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
    assert!(commands(page).len() > 2, "{page}");
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
    // What is longer than the network reads is told, in an index and in a question.
    let long = "you call us to get the card ".repeat(40);
    place.write("long.csv", format!("text\n{long}\nthe coat\n"));
    let index = ["search", "index", "runs/latest", "long.csv", "long.index", "--text", "text"];
    let (_, warned) = said(&place.run(&index));
    says(&warned, &["1 of 2 texts have more than 128 tokens: their ends are cut off"]);
    let ask = ["search", "ask", "runs/latest", "long.index", "a coat", &long, "--json"];
    let (found, warned) = said(&place.run(&ask));
    says(&warned, &["1 of 2 questions have more than 128 tokens: their ends are cut off"]);
    let found: Vec<Value> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((found[0].get("cut"), &found[1]["cut"]), (None, &Value::Bool(true)));
    let predict = ["predict", "runs/latest", "--text", &long, "--format", "jsonl"];
    let (vector, warned) = said(&place.run(&predict));
    says(&warned, &["1 of 1 texts have more than 128 tokens: their ends are cut off"]);
    says(&vector, &["\"cut\":true"]);
    // The encoder leaves in the names of Hugging Face, and would come back as it is here.
    let exported = place.well(&["models", "export", "runs/latest", "encoder.safetensors"]);
    says(&exported, &["encoder.safetensors: 21 tensors in the names of transformers"]);
    let read = |name: &str| read_foreign(&place.path(name)).unwrap();
    let back = bert_weights(read("encoder.safetensors").tensors()).unwrap();
    let ours = read("runs/latest/artifact/model.safetensors");
    let ours = ours.tensors().iter().map(|(name, data)| (name.replace("network.", ""), data.clone()));
    assert!(back == ours.collect::<BTreeMap<_, _>>(), "as it is published");
    // Another artifact's vectors mean something else.
    let shorter = "task.sentence-embedding.prepare.max-length=8";
    let (_, warned) = said(&place.run(&["train", "questions.toml", "epochs=1", shorter]));
    says(
        &warned,
        &[" training texts, ", " validation texts, ", " test texts have more than 8 tokens: their ends are cut off"],
    );
    let refused = place.refused(&["search", "ask", "runs/latest", "faq.index", "a card"]);
    says(&refused, &["faq.index", "another artifact"]);
    let refused = place.refused(&["predict", "runs/latest", "--text", "a card"]);
    says(&refused, &["--format jsonl", "homeostat search"]);
    let digits = Place::with_run();
    let refused = digits.refused(&["search", "index", "runs/latest", "none.csv", "index"]);
    says(&refused, &["only a sentence embedding gives texts their vectors"]);
}

#[test]
fn what_is_bought_next_is_ranked_as_the_page_says() {
    let place = Place::new();
    let tastes = ["garden", "kitchen", "office"];
    let (mut items, mut purchases) = ("item,text\n".to_owned(), "user,item,time\n".to_owned());
    for taste in tastes {
        (0..6).for_each(|at| items += &format!("{taste}-{at},\"a thing, number {at}, for the {taste}\"\n"));
    }
    for user in 0..60 {
        for step in 0..4 {
            let (item, month) = ((user / 3 + step) % 6, 2 + step / 3);
            purchases += &format!("u{user:03},{}-{item},2020-{month:02}-1{step} 10:12\n", tastes[user % 3]);
        }
    }
    place.write("shop/items.csv", items);
    place.write("shop/purchases.csv", purchases);
    place.write("baskets.txt", "garden-1,garden-2\n[\"office-3\", \"no such\"]\n");
    let page = include_str!("../../../../docs/recommend.md");
    assert!(commands(page).len() > 2, "{page}");
    let text = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    place.write("shop.toml", text.replace("epochs = 12", "epochs = 60").replace("batch-size = 256", "batch-size = 16"));
    for command in commands(page) {
        if command.contains(&"jsonl".to_owned()) {
            let answers = place.json(&command);
            assert_eq!(answers.len(), 2);
            assert_eq!(answers[0]["items"].as_array().unwrap().len(), 5);
            says(answers[0]["items"][0]["item"].as_str().unwrap(), &["garden-"]);
            assert_eq!(answers[1]["unknown"], serde_json::json!(["no such"]));
            continue;
        }
        let out = place.well(&command);
        match command[0].as_str() {
            "predict" => says(&out, &["garden-3, kitchen-1", "score", "a thing, number", "for the garden", " %"]),
            "eval" => says(&out, &["hit-rate-10", "popular-ndcg-10"]),
            _ => {}
        }
    }
    let csv = place.well(&["predict", "runs/latest", "--text", "garden-3", "--format", "csv", "--top", "2"]);
    assert_eq!(csv.lines().count(), 3, "{csv}");
    says(&csv, &["bought,item,score,text,error", "garden-3,garden-", ",\"a thing, number "]);
    let strange = place.run(&["predict", "runs/latest", "--text", "x-1,x-2"]);
    assert_eq!(strange.status.code(), Some(1));
    let said = String::from_utf8(strange.stdout).unwrap();
    says(&said, &["error: there is no item `x-1`, nor 1 more, among the 18 on offer"]);
}
