//! Experiments with purchases: from two tables to what users buy next.

use std::fs;

use homeostat_artifact::Artifact;
use homeostat_config::Resolved;
use homeostat_experiment::Experiment;

use crate::place::{Place, published, recorded};

const TEXT: &str = "name = \"shop\"
[task.recommendation]
model = { width = 16 }
[data]
split.given = { valid = 0.2 }
[data.interactions]
source = { folder = \"shop\", test-from = \"2020-03-01\" }
tokenizer.train = { size = 90 }
[train]
epochs = 30
batch-size = 32
optimizer.adamw = { learning-rate = 2e-2 }
schedule.constant = {}
";

/// 120 users, each of one of six tastes: who has that taste buys of its eight items in some order, two of them in March.
fn prepare(place: &Place) {
    let folder = place.data().join("shop");
    fs::create_dir_all(&folder).unwrap();
    let tastes = ["garden", "kitchen", "office", "sport", "music", "travel"];
    let mut items = "item,text\n".to_owned();
    for (number, taste) in tastes.iter().enumerate() {
        (0..8).for_each(|at| items += &format!("{number}{at},a thing for the {taste} number {at}\n"));
    }
    let mut purchases = "user,item,time\n".to_owned();
    for user in 0..120 {
        for step in 0..6 {
            let (item, day) = ((user / 6 * 3 + step * (1 + user % 3 * 2)) % 8, 1 + step * 3);
            let month = if step < 4 { 2 } else { 3 };
            purchases += &format!("u{user:03},{}{item},2020-{month:02}-{day:02} 10:00\n", user % 6);
        }
    }
    fs::write(folder.join("items.csv"), items).unwrap();
    fs::write(folder.join("purchases.csv"), purchases).unwrap();
}

fn shop(words: &[&str]) -> Resolved<Experiment> {
    Experiment::text("shop.toml", TEXT).overrides(words).load().unwrap()
}

#[test]
fn what_users_buy_next_is_foretold_better_than_by_what_most_buy_and_the_run_is_published_and_measured_again() {
    let place = Place::new();
    prepare(&place);
    let (run, result) = place.train(shop(&[]));
    let figure = |name: &str| result.test.get(name).unwrap();
    // Of its taste a user has four things; two of the other four are bought, and all four are among ten.
    assert!(figure("hit-rate-10") > 0.95 && figure("ndcg-10") > 0.6, "{:?}", result.test);
    assert!(figure("popular-hit-rate-10") < 0.8, "{:?}", result.test);
    assert_eq!((result.best.as_ref().unwrap().monitor.as_str(), result.samples.test), ("ndcg-10", 120));
    assert_eq!(place.evaluate(&run, None).unwrap().figures, result.test);
    let artifact = Artifact::open(run.path()).unwrap();
    let assets = artifact.assets().collect::<Vec<_>>();
    assert_eq!((artifact.kind(), assets), ("recommendation", vec!["assortment.jsonl", "tokenizer.json"]));
    let golden = artifact.golden().unwrap();
    assert!(golden.len() == 16 && golden[0].answer["items"].as_array().unwrap().len() == 10);
    let request: Vec<String> = serde_json::from_slice(&golden[0].request).unwrap();
    assert_eq!(request.len(), 4, "what was bought before March");
    assert!(recorded(&run).value.train.metrics.is_empty());
    let page = fs::read_to_string(run.path().join("report.html")).unwrap();
    for words in
        ["hit rate of what most have bought", "What it answers", "Recommended:", ", bought then)", "a thing for the"]
    {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let place = Place::new();
    prepare(&place);
    let (straight, result) = place.train(shop(&["epochs=3"]));
    let stopped = place.train_until(shop(&["epochs=3"]), 4);
    assert_eq!(place.resume(&stopped).unwrap().test, result.test);
    assert_eq!(published(&stopped), published(&straight));
}

#[test]
fn without_a_day_users_are_divided() {
    let place = Place::new();
    prepare(&place);
    let words = ["data.interactions.source.test-from=\"\"", "data.split.stratified={valid=0.2,test=0.2}", "epochs=2"];
    let (_, result) = place.train(shop(&words));
    assert_eq!((result.samples.valid, result.samples.test), (24, 24));
}

#[test]
fn what_is_wrong_is_refused_in_one_line() {
    let place = Place::new();
    prepare(&place);
    let fails = |words: &[&str]| place.try_train(shop(words)).map(drop).unwrap_err().to_string();
    let refused = |words: &[&str]| Experiment::text("s.toml", TEXT).overrides(words).load().unwrap_err().to_string();
    let other = |text: &str| Experiment::text("s.toml", text).load().unwrap_err().to_string();
    for (error, words) in [
        (fails(&["data.interactions.source.folder=none"]), "cannot find the folder `none`"),
        (fails(&["data.interactions.source.item=what"]), "no column `what`"),
        (fails(&["data.interactions.source.items=../items.csv"]), "`../items.csv` is not the name of a file"),
        (fails(&["task.recommendation.items=7"]), "`task.recommendation.items` is 7, but there are 48 items"),
        (fails(&["data.sampling={weighted={}}"]), "`data.sampling`: draws by classes"),
        (
            refused(&["data.interactions.source.test-from=March"]),
            "`data.interactions.source.test-from`: `March` is no day",
        ),
        (refused(&["train.metrics=['accuracy']"]), "`train.metrics`: is of classes"),
        (refused(&["train.monitor=accuracy"]), "accuracy"),
        (refused(&["train.calibrate=true"]), "`train.calibrate`: is of classes"),
        (refused(&["data.text={}"]), "has settings of other tasks than a recommendation"),
        (refused(&["task.recommendation.hidden=0"]), "hidden"),
        (other("task.recommendation = {}"), "`data.interactions`: is missing"),
        (other("data.interactions = {}"), "the task is no recommendation"),
    ] {
        assert!(error.contains(words) && error.lines().count() == 1, "{words}: {error}");
    }
}
