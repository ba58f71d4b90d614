//! The `[control]` table: its spellings, its ranges, its one-line errors; and the direction of a figure.

use homeostat_control::{ControlConfig, ControlError, EarlyStopConfig, Goal, Monitor, PlateauConfig, Switch};

use crate::trace::goals;

#[test]
fn each_controller_can_be_switched() {
    let table = "guard = 'off'\n[plateau.on]\nfactor = 0.1\n[early-stop.on]";
    let config: ControlConfig = toml::from_str(table).unwrap();
    let expected = ControlConfig {
        guard: Switch::Off,
        plateau: Switch::On(PlateauConfig { factor: 0.1, ..Default::default() }),
        early_stop: Switch::On(EarlyStopConfig::default()),
    };
    assert_eq!(config, expected);
    assert_eq!(toml::from_str::<ControlConfig>(&toml::to_string(&config).unwrap()).unwrap(), config);
    assert_eq!(toml::from_str::<ControlConfig>("").unwrap(), ControlConfig::default());
}

#[test]
fn an_unknown_key_is_refused() {
    for table in ["gard = 'off'", "guard.on.limit = 3", "plateau.factor = 0.1", "guard = 'maybe'"] {
        assert!(toml::from_str::<ControlConfig>(table).is_err(), "{table}");
    }
}

fn message(table: &str) -> String {
    let config: ControlConfig = toml::from_str(table).expect("a [control] table");
    config.init(&goals()).expect_err(table).to_string()
}

#[test]
fn a_setting_out_of_range_is_one_line_with_its_key() {
    for (table, expected) in [
        ("guard.on.threshold = -1.0", "control.guard.on.threshold = -1: must be above 0"),
        ("guard.on.threshold = inf", "control.guard.on.threshold = inf: must be above 0"),
        ("guard.on.warmup-steps = 4", "control.guard.on.warmup-steps = 4: must be at least 5"),
        ("guard.on.window = 8", "control.guard.on.window = 8: must be at least control.guard.on.warmup-steps"),
        ("guard.on.patience = 0", "control.guard.on.patience = 0: must be at least 1"),
        ("guard.on.recovery-steps = 0", "control.guard.on.recovery-steps = 0: must be at least 1"),
        ("guard.on.rate-factor = nan", "control.guard.on.rate-factor = NaN: must be above 0 and at most 1"),
        ("plateau.on.factor = 1.0", "control.plateau.on.factor = 1: must be above 0 and below 1"),
        ("plateau.on.patience = 0", "control.plateau.on.patience = 0: must be at least 1"),
        ("plateau.on.threshold = -0.1", "control.plateau.on.threshold = -0.1: must be 0 or more"),
        ("plateau.on.min-scale = 0.0", "control.plateau.on.min-scale = 0: must be above 0 and at most 1"),
        ("early-stop.on.patience = 0", "control.early-stop.on.patience = 0: must be at least 1"),
        ("early-stop.on.min-delta = inf", "control.early-stop.on.min-delta = inf: must be 0 or more"),
    ] {
        assert_eq!(message(table), expected);
    }
}

#[test]
fn an_unknown_figure_is_one_line_with_those_that_there_are() {
    let expected = "control.plateau.on.monitor = \"acuracy\": no such figure; evaluations give accuracy, loss";
    assert_eq!(message("plateau.on.monitor = 'acuracy'"), expected);
    let error = Monitor::find("f1", &goals(), "train.best");
    assert!(matches!(error, Err(ControlError::UnknownFigure { key: "train.best", .. })));
}

#[test]
fn better_is_strict_and_a_nan_never_is() {
    for (goal, good, bad) in [(Goal::Maximize, 2.0, 1.0), (Goal::Minimize, 1.0, 2.0)] {
        let monitor = Monitor { figure: "any".to_string(), goal };
        assert!(monitor.better(good, bad) && !monitor.better(bad, good) && !monitor.better(good, good));
        assert!(!monitor.better(f64::NAN, bad) && monitor.better(bad, f64::NAN));
        assert!(!monitor.better(f64::NAN, f64::NAN));
    }
}
