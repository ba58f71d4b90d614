use homeostat_data::{
    DataError, DataRoot, Encoding, Given, LabelKind, OnCorrupt, Rows, SplitConfig, TableFormat, TextFolderConfig,
    TextSource, TextSourceConfig, TextTableConfig, TextUnit,
};

/// Writes files into a fresh folder `set`, which stays as long as the first value.
fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, DataRoot) {
    let root = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = root.path().join("set").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let data = DataRoot::new([root.path()]);
    (root, data)
}

fn table() -> TextTableConfig {
    TextTableConfig { folder: "set".into(), ..TextTableConfig::default() }
}

fn open(files: &[(&str, &[u8])], config: TextTableConfig) -> Result<TextSource, DataError> {
    let (_root, data) = folder(files);
    TextSourceConfig::Table(config).open(&data)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

#[test]
fn parts_labels_and_names_come_from_the_tables() {
    let source = open(
        &[
            (
                "train.csv",
                b"\xEF\xBB\xBFid,label,text\n1,sad,\"Oh, no\"\n2,glad,\"two\nlines \"\"quoted\"\"\"\n\n3,sad,last",
            ),
            ("my-dev.tsv", b"text\tlabel\nwith \"quotes\tglad\n"),
            ("test.jsonl", b"{\"text\": \"plain\", \"label\": \"sad\"}\n\n{\"label\": \"glad\", \"text\": \"more\"}\n"),
            ("labels.csv", b"name\nsad\nglad\n"),
        ],
        table(),
    )
    .unwrap();
    assert_eq!((source.len(), source.classes()), (6, &words(&["glad", "sad"])[..]));
    let all: Vec<_> = (0..6).map(|i| (source.name(i), source.label(i), source.given(i).unwrap())).collect();
    let expected = [
        ("train.csv, line 2", 1, Given::Train),
        ("train.csv, line 3", 0, Given::Train),
        ("train.csv, line 6", 1, Given::Train),
        ("my-dev.tsv, line 2", 0, Given::Valid),
        ("test.jsonl, line 1", 1, Given::Test),
        ("test.jsonl, line 3", 0, Given::Test),
    ];
    assert_eq!(all, expected.map(|(name, label, given)| (name.to_owned(), label, given)));
    let texts = Rows::read(&source, &[1, 2, 3, 5], OnCorrupt::Error).unwrap().samples;
    let texts: Vec<_> = texts.iter().map(|sample| sample.text.as_str()).collect();
    assert_eq!(texts, ["two\nlines \"quoted\"", "last", "with \"quotes", "more"]);
    let splits = SplitConfig::Auto.split(&source, 1).unwrap();
    assert_eq!((splits.train, splits.valid, splits.test), (vec![0, 1, 2], vec![3], vec![4, 5]));
}

/// Line ends of Windows, blank lines, and quotes over several lines, with and without a line end at the end.
#[test]
fn lines_are_counted_as_editors_count_them() {
    for end in ["\n", "\r\n"] {
        for last in ["", end, &end.repeat(2)] {
            let rows = ["text,label", "", "a,\"x\"", "\"b", "c\",x", "", "", "d,x"].join(end) + last;
            let source = open(&[("a.csv", rows.as_bytes())], table()).unwrap();
            let names: Vec<_> = (0..source.len()).map(|i| source.name(i)).collect();
            assert_eq!(names, ["a.csv, line 3", "a.csv, line 4", "a.csv, line 8"], "{rows:?}");
            assert_eq!((source.classes(), source.get(1).unwrap().text), (&words(&["x"])[..], format!("b{end}c")));
        }
    }
}

#[test]
fn columns_may_have_any_names_or_none() {
    let config = TextTableConfig {
        files: words(&["spam.tsv"]),
        format: TableFormat { columns: words(&["kind", "message"]), ..TableFormat::default() },
        text: "message".into(),
        label: "kind".into(),
        ..table()
    };
    let source = open(&[("spam.tsv", b"ham\tYes?\nspam\tFREE\n")], config).unwrap();
    assert_eq!((source.len(), source.name(0).as_str(), source.given(0)), (2, "spam.tsv, line 1", None));
    assert_eq!(source.get(1).unwrap().text, "FREE");

    let config = TextTableConfig {
        text: "question.text".into(),
        pair: "answer".into(),
        group: "by".into(),
        label: "".into(),
        ..table()
    };
    let rows = br#"[{"question": {"text": "Why?"}, "answer": "So.", "by": 7}, {"question": {"text": "How?"}, "answer": "Thus.", "by": 7},
        {"question": {"text": "Who?"}, "answer": "Me.", "by": "x"}]"#;
    let source = open(&[("all.json", rows)], config).unwrap();
    assert_eq!(
        (source.label_kind(), source.classes().len(), source.name(2).as_str()),
        (LabelKind::None, 0, "all.json, row 3")
    );
    assert_eq!(source.get(0).unwrap().pair.as_deref(), Some("So."));
    assert_eq!([0, 1, 2].map(|i| source.group(i)), [Some(0), Some(0), Some(1)]);
    assert_eq!(SplitConfig::Auto.split(&source, 1).unwrap().train.len(), 1);
}

/// As CLINC150 comes: an object with the parts, in each of which rows are lists.
#[test]
fn a_json_object_holds_its_parts() {
    let config = TextTableConfig {
        format: TableFormat { columns: words(&["text", "label"]), ..TableFormat::default() },
        ..table()
    };
    let rows = br#"{"oos_test": [["b", "oos"]], "train": [["a", "x"]], "oos_train": [["c", "oos"]]}"#;
    let source = open(&[("data.json", rows)], config).unwrap();
    let all: Vec<_> = (0..3).map(|i| (source.name(i), source.label(i), source.given(i).unwrap())).collect();
    let expected = [
        ("data.json/oos_test, row 1", 0, Given::Test),
        ("data.json/train, row 2", 1, Given::Train),
        ("data.json/oos_train, row 3", 0, Given::Train),
    ];
    assert_eq!(all, expected.map(|(name, label, given)| (name.to_owned(), label, given)));
}

#[test]
fn labels_are_numbers_or_names_in_a_fixed_order() {
    let classes = |rows: &str, classes: &[&str]| {
        let config = TextTableConfig { classes: words(classes), ..table() };
        let source = open(&[("a.csv", format!("text,label\n{rows}").as_bytes())], config)?;
        Ok::<_, DataError>((source.classes().to_vec(), (0..source.len()).map(|i| source.label(i)).collect::<Vec<_>>()))
    };
    assert_eq!(classes("a,10\nb,9\nc,-1\n", &[]).unwrap(), (words(&["-1", "9", "10"]), vec![2, 1, 0]));
    assert_eq!(classes("a,b10\nb,b9\nc, b9 \n", &[]).unwrap(), (words(&["b10", "b9"]), vec![0, 1, 1]));
    assert_eq!(classes("a,1\nb,down\nc,0\n", &["up", "down", "flat"]).unwrap().1, [1, 1, 0]);
    // Where the names are numbers, a number is a name.
    assert_eq!(classes("a,2\nb,1\n", &["1", "2"]).unwrap().1, [1, 0]);
    let error = classes("a,1\nb,0\n", &["1", "2"]).unwrap_err().to_string();
    assert!(error.starts_with("a.csv, line 3: the label `0`") && error.contains("is none of the 2"), "{error}");
    let error = classes("a,up\nb,dwn\n", &["up", "down"]).unwrap_err().to_string();
    assert!(error.starts_with("a.csv, line 3: the label `dwn` (near `down`) is none of the 2 in `classes`"), "{error}");
}

#[test]
fn a_row_may_have_several_labels_or_none() {
    let config = TextTableConfig { label: "tags".into(), ..table() };
    let rows = b"{\"text\": \"a\", \"tags\": [\"y\", \"x\", \"y\"]}\n{\"text\": \"b\", \"tags\": []}\n{\"text\": \"c\", \"tags\": \"x\"}\n";
    let lists = open(&[("a.jsonl", rows)], config.clone()).unwrap();
    let config = TextTableConfig { label_separator: "|".into(), ..config };
    let cells = open(&[("a.csv", b"text,tags\na,y| x |y\nb,\nc,x\n")], config).unwrap();
    for source in [&lists, &cells] {
        assert_eq!((source.label_kind(), source.classes()), (LabelKind::Several, &words(&["x", "y"])[..]));
        assert_eq!([0, 1, 2].map(|i| source.labels(i).to_vec()), [vec![0, 1], vec![], vec![0]]);
    }
    assert_eq!(lists.fingerprint().unwrap(), cells.fingerprint().unwrap());
}

#[test]
fn latin_1_is_read_where_it_is_said() {
    let rows = b"text;label\nna\xEFve \x93x\x94;caf\xE9\n";
    let format = TableFormat { separator: ';', ..TableFormat::default() };
    let error =
        open(&[("a.csv", rows)], TextTableConfig { format: format.clone(), ..table() }).unwrap_err().to_string();
    assert!(error.starts_with("a.csv, line 2: in `text`: byte 0xef at 2 is not UTF-8; is the file Latin-1"), "{error}");
    let format: TableFormat = toml::from_str("encoding = 'latin-1'\nseparator = ';'").unwrap();
    let source = open(&[("a.csv", rows)], TextTableConfig { format, ..table() }).unwrap();
    assert_eq!(
        (source.get(0).unwrap().text.as_str(), source.classes()),
        ("na\u{EF}ve \u{201C}x\u{201D}", &words(&["caf\u{E9}"])[..])
    );
}

#[test]
fn tables_that_are_none_are_refused_in_one_line() {
    let many = format!("text,label\n{}", (0..100_001).map(|i| format!("a,{i}\n")).collect::<String>());
    for (name, bytes, expected) in [
        ("a.csv", &b""[..], "a.csv: is empty; a table has the names of its columns in the first line"),
        ("a.csv", b"text,label\n", "a.csv: has no rows"),
        (
            "a.csv",
            b"Text,lable\na,b\n",
            "a.csv: has no column `text` (did you mean `Text`?); there are `Text`, `lable`",
        ),
        ("a.csv", b"text,label,text\na,b,c\n", "a.csv: has the column `text` twice"),
        ("a.csv", b"text,label\na,b\nc\n", "a.csv, line 3: 1 cell for 2 columns; mend or remove it in "),
        (
            "a.csv",
            b"text,label\n\"a\"\"\nb,c\nd,e\n",
            "a.csv: the quote that opens in line 2 is never closed; a quote inside",
        ),
        ("a.csv", b"text,label\na\0b,c\n", "a.csv, line 2: in `text`: a NUL byte at 1, which no text has"),
        ("a.csv", b"text,label\n ,c\n", "a.csv, line 2: there is no text in `text`"),
        ("a.csv", b"text,label\nx, \n", "a.csv, line 2: the label is empty in `label`"),
        ("a.csv", b"\xFF\xFEt\0e\0", "a.csv: is UTF-16; store it as UTF-8"),
        ("a.csv", &many.into_bytes(), "a.csv: the column `label` has more than 100000 different labels"),
        ("a.csv", b"\x1F\x8B\x08", "a.csv: is packed with gzip; let its name end in .gz"),
        ("a.csv.gz", b"text,label\n", "a.csv.gz: the gzip stream is broken or cut short"),
        ("a.jsonl", b"", "a.jsonl: is empty; each line should be a JSON object"),
        ("a.jsonl", b"{\"text\": \"a\", \"label\": 1}\n{\"text\"\n", "a.jsonl, line 2: is no JSON: EOF while parsing"),
        (
            "a.jsonl",
            b"{\"text\": \"a\", \"label\": 1}\n{\"label\": 1}\n",
            "a.jsonl, line 2: there is no text in `text`",
        ),
        ("a.jsonl", b"{\"text\": \"a\\u0000\", \"label\": 1}\n", "a.jsonl, line 1: in `text`: a NUL byte at 1"),
        ("a.json", b"{\"train\": 1}", "a.json: `train` is no list; the file should be a list of rows, or an object"),
        ("a.json", b"[[1, 2]", "a.json: is no JSON: EOF"),
        ("notes.txt", b"", "set: no table in it"),
    ] {
        let error = open(&[(name, bytes)], table()).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
    let parts = [("train.csv", &b"text,label\na,b\n"[..]), ("test.csv", b"text,label\na,b\nc,d\n")];
    let error = open(&parts, table()).unwrap_err().to_string();
    assert!(
        error.contains(
            "set: test.csv, line 3: test.csv has the label `d`, which the training part has not: mend or remove"
        ),
        "{error}"
    );
    let error = open(&parts, TextTableConfig { files: words(&["../x.csv"]), ..table() }).unwrap_err().to_string();
    assert_eq!(error, "`files`: `../x.csv` is not the name of a file below the folder");
}

#[test]
fn broken_rows_are_left_out_and_listed_where_that_is_asked_for() {
    let (_root, data) = folder(&[("a.csv", b"text,label\na,x\nb\n\xFF,x\nc,\nd,y\n")]);
    let source = TextSourceConfig::Table(table()).open_with(&data, OnCorrupt::Skip).unwrap();
    let left: Vec<_> = source.left_out().iter().map(|skipped| skipped.name.as_str()).collect();
    assert_eq!((source.len(), left), (2, vec!["a.csv, line 3", "a.csv, line 4", "a.csv, line 5"]));
    let (_root, data) = folder(&[("a.csv", b"text,label\na,\nb,\n")]);
    let error = TextSourceConfig::Table(table()).open_with(&data, OnCorrupt::Skip).unwrap_err().to_string();
    assert!(error.ends_with("set: no sample can be used; a.csv, line 2: the label is empty in `label`"), "{error}");
}

/// Twenty megabytes in twenty kilobytes, in one row and in many; and one row of as much that is not packed.
#[test]
fn bombs_are_refused_before_they_fill_the_memory() {
    use std::io::Write;
    for line in [&b" "[..], &[&[b'a'; 1000][..], b",b\n"].concat()] {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(b"text,label\n").unwrap();
        let block = line.repeat((1 << 20) / line.len());
        (0..20).for_each(|_| packer.write_all(&block).unwrap());
        let error = open(&[("a.csv.gz", &packer.finish().unwrap())], table()).unwrap_err().to_string();
        assert!(error.contains("unpacks to more than 300 times its size"), "{error}");
    }
    let row = [&b"text,label\n"[..], &b"a".repeat(20 << 20)].concat();
    let error = open(&[("a.csv", &row)], table()).unwrap_err().to_string();
    assert!(error.contains("a row is too long"), "{error}");
}

fn plain(unit: TextUnit) -> TextFolderConfig {
    TextFolderConfig { folder: "set".into(), unit, ..TextFolderConfig::default() }
}

#[test]
fn plain_files_are_texts_lines_or_paragraphs() {
    let play = "First:\r\n  Speak.\r\n \r\n\r\nAll:\r\nSpeak, speak.";
    let (_root, data) =
        folder(&[("play.txt", play.as_bytes()), ("more/b.txt", b"one\n"), ("x.md", b"no"), (".y.txt", b"no")]);
    let read = |unit| {
        let source = TextSourceConfig::TextFolder(plain(unit)).open(&data).unwrap();
        assert_eq!((source.label_kind(), source.classes().len()), (LabelKind::None, 0));
        (0..source.len()).map(|i| (source.name(i), source.get(i).unwrap().text)).collect::<Vec<_>>()
    };
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(read(TextUnit::File), [pair("more/b.txt", "one\n"), pair("play.txt", play)]);
    let lines = [
        ("more/b.txt, line 1", "one"),
        ("play.txt, line 1", "First:"),
        ("play.txt, line 2", "  Speak."),
        ("play.txt, line 5", "All:"),
        ("play.txt, line 6", "Speak, speak."),
    ];
    assert_eq!(read(TextUnit::Line), lines.map(|(name, text)| pair(name, text)));
    let paragraphs = [
        ("more/b.txt, line 1", "one"),
        ("play.txt, line 1", "First:\r\n  Speak."),
        ("play.txt, line 5", "All:\r\nSpeak, speak."),
    ];
    assert_eq!(read(TextUnit::Paragraph), paragraphs.map(|(name, text)| pair(name, text)));
}

#[test]
fn folders_of_texts_may_be_classes_and_parts() {
    let config = TextFolderConfig { labelled: true, ..plain(TextUnit::File) };
    let files = [("train/pos/1.txt", &b"good"[..]), ("train/neg/test.txt", b"bad"), ("test/pos/1.txt", b"fine")];
    let source = {
        let (_root, data) = folder(&files);
        TextSourceConfig::TextFolder(config.clone()).open(&data).unwrap()
    };
    let all: Vec<_> = (0..3).map(|i| (source.name(i), source.label(i), source.given(i).unwrap())).collect();
    let expected = [
        ("train/neg/test.txt", 0, Given::Train),
        ("train/pos/1.txt", 1, Given::Train),
        ("test/pos/1.txt", 1, Given::Test),
    ];
    assert_eq!(all, expected.map(|(name, label, given)| (name.to_owned(), label, given)));

    let (_root, data) = folder(&[&files[..], &[("README.txt", &b"how they were gathered"[..])]].concat());
    assert_eq!(TextSourceConfig::TextFolder(config.clone()).open(&data).unwrap().len(), 3, "a note is of no class");

    for (name, bytes, expected) in [
        ("train/pos/2.txt", &b" \n"[..], "train/pos/2.txt: the file is empty; mend or remove it in "),
        ("train/pos/2.txt", b"a\xFF", "train/pos/2.txt: byte 0xff at 1 is not UTF-8"),
        ("train/pos/2.txt", b"a\0", "train/pos/2.txt: a NUL byte at 1"),
        ("train/pos/2.txt.gz", b"no gzip", "2.txt.gz: the gzip stream is broken or cut short"),
        ("test/new/2.txt", b"a", "test/new/2.txt has the label `new`, which the training part has not"),
    ] {
        let (_root, data) = folder(&[&files[..], &[(name, bytes)]].concat());
        let error = TextSourceConfig::TextFolder(config.clone()).open(&data).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        if error.contains("on-corrupt") {
            let source = TextSourceConfig::TextFolder(config.clone()).open_with(&data, OnCorrupt::Skip).unwrap();
            assert_eq!((source.len(), source.left_out().len()), (3, 1));
        }
    }
    let (_root, data) = folder(&[("a.txt", b"caf\xE9")]);
    let config = TextFolderConfig { encoding: Encoding::Latin1, ..plain(TextUnit::File) };
    assert_eq!(TextSourceConfig::TextFolder(config).open(&data).unwrap().get(0).unwrap().text, "caf\u{E9}");
}

/// Labels that are too rare for every part are drawn together with the texts that have none.
#[test]
fn texts_with_several_labels_or_none_can_be_divided() {
    let tags = |i: usize| match i {
        0..20 => "a|b".to_owned(),
        20..30 => String::new(),
        _ => format!("rare-{i}"),
    };
    let rows: String = (0..40).map(|i| format!("text {i},{}\n", tags(i))).collect();
    let config = TextTableConfig { label: "tags".into(), label_separator: "|".into(), ..table() };
    let source = open(&[("a.csv", format!("text,tags\n{rows}").as_bytes())], config).unwrap();
    let splits = SplitConfig::Auto.split(&source, 1).unwrap();
    for part in [&splits.valid, &splits.test] {
        let common = part.iter().filter(|&&i| i < 20).count();
        assert_eq!((part.len(), common), (4, 2), "{part:?}");
    }
    assert_eq!(splits.train.len(), 32);
}
