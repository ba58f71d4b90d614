//! Purchases: histories are in the order of the days, what is measured with comes behind what is learnt from, and what is wrong is told
//! by its line.

use std::fs;

use homeostat_data::{
    Assortment, DataError, DataRoot, Given, GivenSplit, Histories, History, InteractionsConfig, Item, OnCorrupt,
    Purchase, Source, SplitConfig, Splits,
};

const PURCHASES: &str = "user,item,time
u2,pen,2020-01-05 10:00
u1,cup,2020-01-02
u1,pen,2020-01-01T09:00:00
u1,cup,2020-01-07
u1,pot,2020-02-01
u2,cup,2020-01-05 11:00
u2,pot,2020-01-05 11:00
u2,ink,2020-01-05 12:00
u3,pen,2020-01-03
u3,cup,2020-02-01
u4,pen,2020-02-02
u5,pot,2020-01-04
u5,pot,2020-02-03
u6,pen,2020-01-06
u6,new,2020-02-03
";
const ITEMS: &str = "item,text\npen,a red pen\ncup,a cup\npot,\nink,black ink\nold,nobody wants it\n";

fn open(purchases: &str, items: &str, test_from: &str, on_corrupt: OnCorrupt) -> Result<Source<Histories>, DataError> {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("shop");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("purchases.csv"), purchases).unwrap();
    fs::write(folder.join("items.csv"), items).unwrap();
    let config =
        InteractionsConfig { folder: "shop".into(), test_from: test_from.into(), ..InteractionsConfig::default() };
    config.open(&DataRoot::new([root.path()]), on_corrupt)
}

fn shop(test_from: &str) -> Source<Histories> {
    open(PURCHASES, ITEMS, test_from, OnCorrupt::Error).unwrap()
}

/// Codes with their ages, and how many of them come before.
fn told(source: &Source<Histories>, index: usize) -> (Vec<(String, u32)>, usize) {
    let History { purchases, before } = source.get(index).unwrap();
    let code = |Purchase { item, age }: &Purchase| (source.assortment().items()[*item as usize].code.clone(), *age);
    (purchases.iter().map(code).collect(), before)
}

fn words(purchases: &[(&str, u32)], before: usize) -> (Vec<(String, u32)>, usize) {
    (purchases.iter().map(|(code, age)| ((*code).to_owned(), *age)).collect(), before)
}

#[test]
fn users_are_learnt_from_up_to_a_day_and_measured_with_from_then_on() {
    let source = shop("2020-02-01");
    let items = source.assortment().items();
    let expected = [("cup", 2), ("ink", 1), ("pen", 4), ("pot", 2)];
    assert_eq!(items.iter().map(|item| (item.code.as_str(), item.buyers)).collect::<Vec<_>>(), expected);
    assert_eq!(source.assortment().items()[2].text, "a red pen");
    // u1 and u2 bought two things; u1 and u3 bought something new and known later, which u5 and u6 did not.
    assert_eq!(source.len(), 4);
    assert_eq!(told(&source, 0), words(&[("pen", 31), ("cup", 30)], 1));
    assert_eq!(told(&source, 1), words(&[("pen", 27), ("cup", 27), ("pot", 27), ("ink", 27)], 2));
    assert_eq!(told(&source, 2), words(&[("pen", 31), ("cup", 30), ("pot", 0)], 2));
    assert_eq!(told(&source, 3), words(&[("pen", 29), ("cup", 0)], 1));
    assert_eq!(source.name(3), "purchases.csv from 2020-02-01, user u3");
    assert_eq!([source.given(1), source.given(2)], [Some(Given::Train), Some(Given::Test)]);
    let Splits { train, valid, test } = SplitConfig::Given(GivenSplit { valid: 0.5 }).split(&source, 1).unwrap();
    assert_eq!((train.len(), valid.len(), test), (1, 1, vec![2, 3]));
}

#[test]
fn without_a_day_users_are_kept_apart() {
    let source = shop("");
    assert_eq!((source.len(), source.given(0)), (4, None));
    assert_eq!(told(&source, 0), words(&[("pen", 34), ("cup", 33), ("pot", 3)], 2));
    assert!(source.assortment().place("new").is_some());
    // The same purchases are the same content, wherever items stand.
    let again = open(&format!("{PURCHASES}u9,aaa,2020-01-01\n"), ITEMS, "", OnCorrupt::Error).unwrap();
    assert_ne!(again.assortment(), source.assortment());
    assert_eq!(again.digests().unwrap(), source.digests().unwrap());
    assert_ne!(shop("2020-02-01").digest(0).unwrap(), source.digest(0).unwrap());
}

#[test]
fn what_is_not_measured_with_and_has_no_text_is_counted() {
    let source = shop("2020-02-01");
    assert_eq!((source.assortment().untold(), source.strangers()), (1, 1));
}

#[test]
fn what_is_broken_is_told_by_its_line_or_left_out() {
    for (row, words) in [
        (",pen,2020-01-01", "nothing in `user`"),
        ("u1, ,2020-01-01", "nothing in `item`"),
        ("u1,pen,", "nothing in `time`"),
        ("u1,pen,01/02/2020", "`01/02/2020` in `time` begins with no day like 2011-11-01"),
        ("u1,pen,2020-02-30", "begins with no day"),
        ("u1,pen", "2 cells"),
    ] {
        let purchases = format!("{PURCHASES}{row}\n");
        let error = open(&purchases, ITEMS, "", OnCorrupt::Error).unwrap_err().to_string();
        assert!(error.contains("purchases.csv, line 17") && error.contains(words), "{row}: {error}");
        assert_eq!(error.lines().count(), 1);
        let source = open(&purchases, ITEMS, "", OnCorrupt::Skip).unwrap();
        assert_eq!((source.left_out().len(), source.len()), (1, 4), "{row}");
    }
    let twice = open(PURCHASES, &format!("{ITEMS}pen,a blue pen\n"), "", OnCorrupt::Error).unwrap_err().to_string();
    assert!(twice.contains("items.csv, line 7: the item `pen` stands there twice"), "{twice}");
    let single = "user,item,time\nu1,pen,2020-01-01\nu2,cup,2020-01-02\n";
    for (purchases, test_from, words) in [
        (PURCHASES, "1.2.2020", "`interactions.test-from`: `1.2.2020` is no day"),
        (PURCHASES, "2019-01-01", "nobody bought anything before"),
        (PURCHASES, "2021-01-01", "nobody bought anything new"),
        (single, "", "no user bought two things"),
        ("user,what,time\nu1,pen,2020-01-01\n", "", "no column `item`"),
    ] {
        let error = open(purchases, ITEMS, test_from, OnCorrupt::Skip).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn an_assortment_that_was_changed_is_refused() {
    let item = |code: &str| Item { code: code.into(), text: String::new(), buyers: 1 };
    for (items, words) in [
        (vec![], "has no items"),
        (vec![item("")], "has no code"),
        (vec![item("a"), item("b"), item("a")], "`a` stands there twice"),
    ] {
        let error = Assortment::new(items).unwrap_err().to_string();
        assert!(error.starts_with("assortment.jsonl: ") && error.contains(words), "{error}");
    }
    let error = Assortment::from_json_lines("{\"code\":\"a\",\"text\":\"\",\"buyers\":1}\n{}\n").unwrap_err();
    assert!(error.to_string().starts_with("assortment.jsonl: line 2: "), "{error}");
}
