//! Settings that cannot be: one line each, and no run begins.

use crate::place::{Place, says, text};

#[test]
fn what_is_wrong_with_a_setting_is_said_with_its_place_and_the_nearest_right_one() {
    let place = Place::new();
    place.write("key.toml", "name = \"x\"\n\n[train]\nepocs = 3\n");
    place.write("type.toml", "[train]\nepochs = \"three\"\n");
    place.write("name.toml", "[task.image-classification]\nmodel = \"cn\"\n");
    place.write("broken.toml", "[train\n");
    place.write("notes.txt", "");
    place.write("empty.toml", "# nothing yet\n");
    for (words, wanted) in [
        (&["key.toml"][..], &["key.toml:4", "`train.epocs`", "`train.epochs`"][..]),
        (&["digits", "trian.epochs=3"], &["command line", "`trian`", "`train`"]),
        (&["type.toml"], &["type.toml:2", "`train.epochs`", "whole number", "\"three\""]),
        (&["digits", "epochs=x"], &["command line", "`train.epochs`", "whole number"]),
        (&["digits", "seed=-1"], &["`seed`", "-1"]),
        (&["name.toml"], &["name.toml:2", "`cn`", "`cnn`"]),
        (&["digits", "optimizer=adm"], &["`adm`", "did you mean"]),
        (&["broken.toml"], &["broken.toml:1:"]),
        (&["digits", "epochs"], &["`train.epochs`", "key=value"]),
        (&["digits", "epochs=0"], &["train.epochs", "at least 1"]),
        (&["digits", "split.stratified.valid=2"], &["data.split.stratified", "below 1"]),
        (&["digits", "name=../up"], &["../up", "letters"]),
        (&["digit"], &["no experiment `digit`", "did you mean `digits`"]),
        (&["key"], &["did you mean `key.toml`"]),
        (&["notes.txt"], &["notes.txt", ".toml"]),
        (&["digits.toml"], &["no file digits.toml", "`digits`"]),
        (&["gone.toml"], &["cannot read gone.toml"]),
        (&["empty.toml"], &["empty.toml sets nothing"]),
        (
            &["digits", "optimizer.lr=1"],
            &["unknown key `train.optimizer.lr`; did you mean `train.optimizer.adamw.learning-rate`"],
        ),
        (&["digits", "--log-level", "loud"], &["--log-level `loud`", "debug"]),
        (&["digits", "--log-level", "a=b=c"], &["--log-level"]),
    ] {
        let line = place.refused(&[&["train"], words, &["--quiet"]].concat());
        says(&line, wanted);
        assert!(!place.path("runs").exists(), "{words:?}");
    }
    for (option, wanted) in
        [("--epochs", "epochs=3"), ("--batch_size", "train.batch-size=3"), ("--lr", "learning-rate=3")]
    {
        let output = place.run(&["train", "digits", option, "3"]);
        assert_eq!(output.status.code(), Some(2));
        says(&text(&output.stderr), &[&format!("no option `{option}`"), "key=value", wanted]);
    }
    for (words, wanted) in [
        (&["train", "digits", "--workers", "0"][..], "0 is not in 1..=65535"),
        (&["train", "digits", "--threads", "abc"], "'abc' for '--threads <N>': give a whole number"),
        (&["generate", "runs/latest", "--top-p", "x"], "give a number"),
        (&["data", "pack", "digits", "d.pack", "--size", "0"], "'0' for '--size <PIXELS>'"),
        (&["inspect", "digits", "--sample", "-1"], "-1 is not in 0..="),
        (&["generate", "runs/latest", "--max-tokens", "-3"], "-3 is not in 0..="),
    ] {
        let output = place.run(words);
        assert_eq!(output.status.code(), Some(2));
        says(&text(&output.stderr), &[wanted]);
    }
    says(&place.refused(&["train", "digits", "lr=3"]), &["did you mean `train.optimizer.adamw.learning-rate`"]);
    says(&place.refused(&["config", "check", "key.toml"]), &["key.toml:4", "`train.epochs`"]);
}
