//! The `[task]` table on its way through an artifact.

use burn::{module::Module, tensor::Device};
use homeostat_config::to_toml;
use homeostat_data::{CenterCrop, PrepareStep, Resize, TestViews};
use homeostat_task::{Task, TaskError, TaskVisitor};
use homeostat_tasks::{ImageClassificationConfig, TaskConfig};

use crate::{config, device, line, losses};

/// Every network and every loss, and a default that is incomplete.
fn tables() -> Vec<TaskConfig> {
    let complete = crate::networks().into_iter().flat_map(|model| {
        losses().into_iter().map(move |loss| TaskConfig::ImageClassification(config(model.clone(), loss)))
    });
    complete.chain([TaskConfig::default()]).collect()
}

#[test]
fn every_table_survives_its_file() {
    for task in tables() {
        let text = to_toml(&task);
        assert_eq!(TaskConfig::parse(task.kind(), &text).unwrap(), task, "{text}");
        assert!(text.contains(task.kind()) && !text.contains("tta"), "{text}");
    }
    let mut odd = ImageClassificationConfig { labels: vec!["a \"b\"\n".into(), "é\\".into()], ..Default::default() };
    odd.prepare.0.insert(0, PrepareStep::CenterCrop(CenterCrop::default()));
    odd.prepare.0.insert(0, PrepareStep::Resize(Resize::default()));
    odd.tta = Some(TestViews::FiveCrop);
    let odd = TaskConfig::ImageClassification(odd);
    assert_eq!(TaskConfig::parse(odd.kind(), &to_toml(&odd)).unwrap(), odd);
}

#[test]
fn a_text_that_is_no_such_table_is_refused_in_one_line() {
    for (text, said) in [
        ("", "1 element"),
        ("[image-segmentation]", "image-segmentation"),
        ("[image-classification]\nlabel = []", "label"),
        ("[image-classification]\nlabels = 3", "line 2: invalid type: integer `3`"),
        ("[image-classification]\n\nmodel.resnext = {}", "line 3: unknown variant `resnext`"),
        ("[image-classification]\ninput = { channels = 3, height = -1, width = 3 }", "-1"),
        ("[image-classification]\ninput = { channels = 3 }", "height"),
        ("[image-classification", "task.toml"),
        ("\u{0}", "task.toml"),
        ("labels = \"\"\"a\nb", "task.toml"),
    ] {
        let error = line(&TaskConfig::parse("image-classification", text).unwrap_err());
        assert!(error.starts_with("task.toml") && error.contains(said), "{text:?}: {error}");
    }
}

#[test]
fn a_table_of_another_kind_than_the_artifact_says_is_refused() {
    let text = to_toml(&TaskConfig::default());
    let error = line(&TaskConfig::parse("retrieval", &text).unwrap_err());
    assert!(error.contains("`image-classification`") && error.contains("artifact.json says `retrieval`"), "{error}");
}

/// Counts the parameters of whatever network the task has.
struct CountParameters<'a>(&'a Device);

impl TaskVisitor for CountParameters<'_> {
    type Output = Result<usize, TaskError>;

    fn visit<T: Task>(self, task: T) -> Self::Output {
        Ok(task.init(self.0)?.num_params())
    }
}

#[test]
fn a_visitor_gets_the_living_task() {
    let device = device();
    for model in crate::networks() {
        let own = config(model.clone(), losses().remove(0));
        let expected = own.init().unwrap().init(&device).unwrap().num_params();
        let found = TaskConfig::ImageClassification(own).open(CountParameters(&device)).unwrap().unwrap();
        assert_eq!(found, expected, "{model:?}");
    }
    let error = TaskConfig::default().open(CountParameters(&device)).unwrap_err();
    assert!(line(&error).contains("labels is not known yet"), "{error}");
}
