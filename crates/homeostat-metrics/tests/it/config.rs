//! How an experiment file spells the metrics, and what it is told when they do not fit.

use homeostat_metrics::{
    CalibrationErrorConfig, Classes, MetricConfig, MetricError, MetricSet, OneClassConfig, TopKConfig,
};

use crate::all_metrics;

#[test]
fn the_list_of_an_experiment_file_gives_figures_in_its_order() {
    let list = r#"["accuracy", {"top-k": {"k": 3}}, "macro-f1", "auroc", {"calibration-error": {}}, "brier"]"#;
    let configs: Vec<MetricConfig> = serde_json::from_str(list).expect("the spelling of the manual");
    let set = MetricSet::init(&configs, Classes::OneOf(10)).expect("they fit ten classes");
    assert_eq!(names(&set), ["loss", "accuracy", "top-3", "macro-f1", "auroc", "calibration-error", "brier"]);
    assert_eq!(names(&set.streaming_only()), ["loss", "accuracy", "top-3"]);
}

#[test]
fn an_unknown_option_is_refused() {
    assert!(serde_json::from_str::<MetricConfig>(r#"{"top-k": {"n": 3}}"#).is_err());
    assert!(serde_json::from_str::<MetricConfig>(r#""f1""#).is_err());
}

#[test]
fn the_tables_of_these_tests_hold_every_metric() {
    let schema = serde_json::to_string(&schemars::schema_for!(MetricConfig)).expect("a schema is JSON");
    // Those of one class have tables of their own.
    let of_one = [MetricConfig::AurocOf, MetricConfig::AccuracyWithout].map(|of| of(OneClassConfig { class: 1 }));
    let known: Vec<MetricConfig> = all_metrics(Classes::OneOf(10), 5).into_iter().chain(of_one).collect();
    for config in &known {
        let json = serde_json::to_value(config).expect("a config is JSON");
        let spelling =
            json.as_str().unwrap_or_else(|| json.as_object().expect("a variant").keys().next().expect("one"));
        assert!(schema.contains(&format!("\"{spelling}\"")), "{spelling}");
    }
    let variants = schemars::schema_for!(MetricConfig);
    let listed = variants.get("oneOf").and_then(|v| v.as_array()).expect("an enum is a choice");
    let spellings: usize = listed.iter().map(|v| v["enum"].as_array().map_or(1, Vec::len)).sum();
    assert_eq!(spellings, known.len(), "a metric is missing in `all_metrics`");
}

#[test]
fn a_set_knows_which_way_its_figures_are_better() {
    let set = MetricSet::init(&all_metrics(Classes::OneOf(10), 5), Classes::OneOf(10)).expect("they fit");
    let lower = ["loss", "calibration-error", "brier"];
    for name in names(&set) {
        assert_eq!(set.higher_is_better(&name), Some(!lower.contains(&name.as_str())), "{name}");
    }
    assert_eq!(set.higher_is_better("top-3"), None);
}

#[test]
fn a_metric_that_does_not_fit_is_one_line_that_says_how_to_mend_it() {
    let top = |k| MetricConfig::TopK(TopKConfig { k });
    let bins = |bins| MetricConfig::CalibrationError(CalibrationErrorConfig { bins });
    for (configs, classes, expected) in [
        (
            vec![top(5)],
            Classes::OneOf(3),
            "metric `top-5` needs a `k` below the number of classes, 3; change `k` or drop the metric",
        ),
        (vec![top(0)], Classes::OneOf(3), "metric `top-0` needs a `k` of at least 1"),
        (vec![bins(0)], Classes::OneOf(3), "metric `calibration-error` needs `bins` from 1 to 10000, not 0"),
        (vec![top(2)], Classes::AnyOf(3), "metric `top-2` needs exactly one right class a sample; drop the metric"),
        (
            vec![bins(15)],
            Classes::AnyOf(3),
            "metric `calibration-error` needs exactly one right class a sample; drop the metric",
        ),
        (vec![bins(15), bins(10)], Classes::OneOf(3), "metric `calibration-error` stands twice in the list; drop one"),
    ] {
        let error: MetricError = MetricSet::init(&configs, classes).expect_err(expected);
        assert_eq!(error.to_string(), expected);
    }
}

fn names(set: &MetricSet) -> Vec<String> {
    set.figures().into_iter().map(|(name, _)| name).collect()
}
