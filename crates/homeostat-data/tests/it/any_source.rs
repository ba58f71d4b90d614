//! What folders and tables look like.

use std::fs;

use homeostat_data::{AnySource, SourceConfig, TextSourceConfig};

/// What a folder `set` with these files looks like.
fn guess(files: &[(&str, &str)]) -> Result<AnySource, homeostat_data::DataError> {
    let root = tempfile::tempdir().unwrap();
    for (file, text) in files {
        let path = root.path().join("set").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    AnySource::guess(&root.path().join("set"), "set")
}

/// Text, label and group.
fn columns(files: &[(&str, &str)]) -> [String; 3] {
    match guess(files).unwrap() {
        AnySource::Texts(TextSourceConfig::Table(table)) => [table.text, table.label, table.group],
        AnySource::Pictures(SourceConfig::ImageTable(table)) => [table.image, table.label, table.group],
        other => panic!("{other:?}"),
    }
}

#[test]
fn columns_are_known_by_name_and_by_what_stands_in_them() {
    let named = "id,Text,user_id,Label\n1,hi,7,a\n2,ho,7,b\n3,hu,8,a\n";
    assert_eq!(columns(&[("train.csv", named)]), ["Text", "Label", "user_id"]);
    let said = [(1, "it is so good", "glad"), (2, "it is rather bad", "sad"), (3, "it is not so bad", "glad")];
    let unnamed =
        said.map(|(id, said, mood)| format!(r#"{{"id": {id}, "said": "{said}", "mood": "{mood}"}}"#)).join("\n");
    assert_eq!(columns(&[("all.jsonl", &unnamed)]), ["said", "mood", ""]);
    let without_header = "ham\tsee you at lunch then\nspam\twin a free prize now\nham\tsee you later at home\n";
    assert_eq!(columns(&[("mail.tsv", without_header)]), ["column-2", "column-1", ""]);
    let pictures = "file,text,kind\na.png,a cat on a mat,cat\nb.png,a dog in a bog,dog\n";
    assert_eq!(columns(&[("list.csv", pictures), ("a.png", "")]), ["file", "kind", ""]);
}

#[test]
fn a_table_beside_others_is_found_and_pictures_in_folders_are_pictures() {
    let table = "text,label\nit is so good,glad\nit is so bad,sad\n";
    let Ok(AnySource::Texts(TextSourceConfig::Table(found))) = guess(&[("about.json", "{}"), ("data.csv", table)])
    else {
        panic!()
    };
    assert_eq!(found.files, ["data.csv"]);
    let folders = guess(&[("cat/1.png", ""), ("dog/1.png", ""), ("sizes.csv", "name,size\ncat,3\ndog,4\n")]).unwrap();
    assert!(matches!(folders, AnySource::Pictures(SourceConfig::ImageFolder(_))), "{folders:?}");
}

#[test]
fn plain_texts_have_classes_where_they_lie_in_folders() {
    let of = |files: &[(&str, &str)]| match guess(files).unwrap() {
        AnySource::Texts(TextSourceConfig::TextFolder(folder)) => Some((folder.folder, folder.labelled)),
        _ => None,
    };
    assert_eq!(of(&[("a.txt", "x"), ("b.txt.gz", ""), ("more/c.txt", "y")]), Some(("set".to_owned(), false)));
    let classes = [("README.txt", "x"), ("train/pos/1.txt", "x"), ("train/neg/1.txt", "x")];
    assert_eq!(of(&classes), Some(("set".to_owned(), true)));
    assert_eq!(of(&[("README.txt", "x"), ("cat/1.png", ""), ("dog/1.png", "")]), None, "pictures with a note");
}

#[test]
fn what_looks_like_nothing_is_said_in_one_line() {
    for (file, text, words) in [
        (
            "numbers.csv",
            "a,b\n1,2\n3,4\n",
            "no column looks like a text: name one, as in table:FOLDER,text=COLUMN; there are `a`, `b`",
        ),
        ("one.csv", "text,n\nit is so good,1\nit is so bad,1\n", "no column looks like a label"),
        ("note.md", "hello", "neither folders of pictures, nor a table"),
        ("1.png", "", "holds pictures directly (1): put them into one folder a class"),
    ] {
        let error = guess(&[(file, text)]).unwrap_err().to_string();
        assert!(error.contains(words) && error.lines().count() == 1, "{file}: {error}");
    }
    let file = tempfile::NamedTempFile::with_suffix(".txt").unwrap();
    let error = AnySource::guess(file.path(), "questions.txt").unwrap_err().to_string();
    assert!(error.contains("is a file, but neither a table") && error.ends_with("nor a folder"), "{error}");
}
