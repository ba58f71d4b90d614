//! A run that was never run: every part of a report, with figures that look like the real ones.

use std::io::Cursor;

use homeostat_report::{
    ClassRow, Classification, Command, DataSummary, Decision, Headline, Mistake, Picture, Point, Reliability,
    ReliabilityBin, Report, Series, Shown, Skipped, Value, tensorboard::EventWriter,
};

const STEPS: u64 = 675;
const EPOCH: u64 = 45;

/// A picture of `side` pixels squared with a blurred ring in it.
pub(crate) fn png(side: u32, seed: u32) -> Vec<u8> {
    let center = |axis: u32| f64::from(side) * (0.4 + 0.05 * f64::from((seed >> axis) % 4));
    let picture = image::GrayImage::from_fn(side, side, |x, y| {
        let distance = (f64::from(x) + 0.5 - center(0)).hypot(f64::from(y) + 0.5 - center(2)) / f64::from(side);
        let ring = (-((distance - 0.28) * 9.0).powi(2)).exp();
        image::Luma([(ring * 255.0).round() as u8])
    });
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).expect("a picture in memory");
    bytes.into_inner()
}

/// Noise in `-1..1`, the same on every machine.
fn noise(index: u64) -> f64 {
    let mixed = (index + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
}

fn series(name: &str, part: &str, every: u64, value: impl Fn(u64) -> f64) -> Series {
    let point = |step: u64| Point { step, epoch: step as f64 / EPOCH as f64, value: value(step) };
    Series {
        name: name.into(),
        part: part.into(),
        points: (every..=STEPS).step_by(every as usize).map(point).collect(),
    }
}

fn decision(step: u64, action: &str, reason: &str) -> Decision {
    Decision { step, controller: "guard".into(), action: action.into(), reason: reason.into() }
}

fn classification(names: &[String]) -> Classification {
    let classes = names.len();
    let count = |truth: usize, predicted: usize| match (truth as u64 * 31 + predicted as u64 * 17) % 23 {
        _ if truth == predicted => 33 + truth as u64 % 5,
        odd @ 0..2 if truth != predicted => odd + 1 + u64::from(truth == 8) * 3,
        _ => 0,
    };
    let row = |(index, name): (usize, &String)| ClassRow {
        name: name.clone(),
        precision: 0.97 + 0.03 * noise(index as u64),
        recall: 0.97 + 0.03 * noise(index as u64 + 50),
        f1: 0.97 + 0.03 * noise(index as u64 + 100),
        support: 33 + index as u64 % 5,
    };
    let mistake = |index: usize| Mistake {
        shown: Shown::Picture(png(8, index as u32 * 7)),
        name: format!("digits/{:04}", 1437 + 13 * index),
        truth: names[index % classes].clone(),
        predicted: names[(index * 3 + 1) % classes].clone(),
        confidence: 0.97 - 0.04 * index as f64,
    };
    let bin = |index: u32| {
        let confidence = (f64::from(index) + 0.6) / 15.0;
        let accuracy = (confidence - 0.05 + 0.06 * noise(u64::from(index))).clamp(0.0, 1.0);
        ReliabilityBin { count: if index < 4 { 0 } else { 1 << (index / 2) }, confidence, accuracy }
    };
    Classification {
        part: "test".into(),
        classes: names.to_vec(),
        confusion: (0..classes).map(|truth| (0..classes).map(|predicted| count(truth, predicted)).collect()).collect(),
        per_class: names.iter().enumerate().map(row).collect(),
        reliability: Some(Reliability {
            bins: (0..15).map(bin).collect(),
            accuracy_interval: (0.9, 0.91),
            calibration_error: 0.0213,
        }),
        mistakes: (0..11).map(mistake).collect(),
        lengths: homeostat_report::Lengths::of("accuracy", (1..200).map(|at| (at % 23, at % 5 > 0)).collect()),
    }
}

/// A report with every section, over `classes`.
pub(crate) fn report(classes: &[&str]) -> Report {
    let names: Vec<String> = classes.iter().map(|&name| name.to_owned()).collect();
    let decay = |step: u64| 2.3 * (-(step as f64) / 70.0).exp();
    let headline = |label: &str, value, note: &str| Headline { label: label.into(), value, note: note.into() };
    let command = |what: &str, line: &str| Command { what: what.into(), line: line.into() };
    Report {
        title: "digits".into(),
        when: "2026-11-23 17:13:05 UTC".into(),
        headlines: vec![
            headline("test accuracy", Value::Share(0.9889), "180 samples, measured once"),
            headline("test loss", Value::Number(0.0412), ""),
            headline("best epoch", Value::Text("12 of 15".into()), "by validation accuracy"),
            headline("time", Value::Seconds(41.7), "2 threads, cpu"),
            headline("parameters", Value::Count(121_930), "cnn"),
        ],
        curves: vec![
            series("loss", "train", 1, |step| {
                let spike = if (301..304).contains(&step) { 6.0 } else { 0.0 };
                if step == 304 { f64::NAN } else { decay(step) + 0.02 + spike + 0.015 * (1.0 + noise(step)) + decay(step) * 0.2 * noise(step) }
            }),
            series("loss", "valid", EPOCH, |step| decay(step) + 0.055 + 0.006 * noise(step)),
            series("accuracy", "train", EPOCH, |step| 0.995 - 0.8 * decay(step) / 2.3),
            series("accuracy", "valid", EPOCH, |step| 0.985 - 0.7 * decay(step) / 2.3 + 0.004 * noise(step)),
            series("macro-f1", "valid", EPOCH, |step| 0.984 - 0.7 * decay(step) / 2.3 + 0.004 * noise(step)),
        ],
        rate: series("", "", 5, |step| 0.0015 * (1.0 + (std::f64::consts::PI * step as f64 / STEPS as f64).cos())).points,
        chosen_step: Some(12 * EPOCH),
        decisions: vec![
            decision(301, "skip-step", "loss 6.07 is 41 robust deviations above the median of the last 64 steps"),
            decision(302, "skip-step", "loss 6.05 is 41 robust deviations above the median of the last 64 steps"),
            decision(304, "rewind", "loss is not finite; back to step 270 at half the rate"),
            Decision { step: 585, controller: "plateau".into(), action: "scale-rate".into(), reason: "accuracy has not improved for 3 evaluations: rate times 0.5".into() },
        ],
        classification: Some(classification(&names)),
        augmented: (0..12).map(|index| Picture { png: png(8, index * 5 + 1), caption: names[index as usize % names.len()].clone() }).collect(),
        written: Vec::new(),
        answered: Vec::new(),
        data: DataSummary {
            parts: ["train", "valid", "test"].map(str::to_owned).to_vec(),
            classes: names.iter().enumerate().map(|(index, name)| (name.clone(), vec![139 + 3 * (index as u64 % 7), 17 + index as u64 % 2, 18])).collect(),
        },
        skipped: vec![Skipped { name: "train/seven/0412.jpg".into(), reason: "the JPEG data ends early".into() }],
        config: "name = \"digits\"            # file digits.toml:1\n\n[train]\nepochs = 15               # command line\nbatch = 32                # default\n\n[train.optimizer.adam-w]\nweight-decay = 0.01       # default\nbetas = [0.9, 0.999]      # default\n\n[task.image-classification]\nmodel.cnn = { width = 32, dropout = 0.1 } # default\nnormalise.mean = [0.305]  # chosen: from the training split\n".into(),
        environment: [
            ("homeostat", "0.1.0"),
            ("burn", "0.22.1"),
            ("device", "cpu (flex)"),
            ("processor", "AMD EPYC 9R14, 2 cores"),
            ("seed", "1"),
            ("data", "sha256 5fb5 1c3a 7a10 42d8 f0e9"),
            ("command", "homeostat train digits train.epochs=15"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        next: vec![
            command("Predict", "homeostat predict runs/latest picture.png"),
            command("Measure again", "homeostat eval runs/latest"),
            command("Check the artifact", "homeostat verify runs/latest"),
            command("Compare", "homeostat runs compare runs/digits/*"),
        ],
        ..Report::default()
    }
}

/// The same of texts, with names of classes as data sets of intents have them, and settings that are not set.
pub(crate) fn texts() -> Report {
    let names = ["balance_not_updated_after_bank_transfer", "card_payment_fee_charged", "lost_or_stolen_phone"];
    let mut report = report(&names);
    if let Some(classification) = &mut report.classification {
        classification.confusion = vec![vec![9, 1, 0], vec![0, 9, 0], vec![0, 0, 9]];
        for mistake in &mut classification.mistakes {
            let text = "Why was I charged an extra fee when I paid with my card at the restaurant last night?";
            mistake.shown = Shown::Text(text.into());
        }
    }
    report.config.push_str("# max-steps =             # not set\n");
    let origin =
        "chosen: a sentence embedding has figures of its own, which are measured on the pairs that are held out";
    report.config.push_str(&format!("metrics = [\"retrieval\"]   # {origin}\n"));
    report
}

/// `cargo test -p homeostat-report -- --ignored sample` writes pages to look at in a browser.
#[test]
#[ignore = "for eyes: writes pages into the folder for temporary files"]
fn sample_pages() {
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let clothes =
        ["T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"];
    let intents: Vec<String> = (0..120).map(|index| format!("intent_{index}_of_a_customer")).collect();
    let intents: Vec<&str> = intents.iter().map(String::as_str).collect();
    for (name, report) in [
        ("digits", report(&digits)),
        ("clothes", report(&clothes)),
        ("intents", report(&intents)),
        ("texts", texts()),
        ("empty", Report { title: "nothing yet".into(), ..Report::default() }),
    ] {
        let path = std::env::temp_dir().join(format!("homeostat-report-{name}.html"));
        std::fs::write(&path, report.render()).expect("a folder for temporary files");
        println!("{}", path.display());
    }
}

/// Events to read with `benches/tensorboard_reads.py`: a run that was killed at step 300 and resumed from step 270.
#[test]
#[ignore = "for TensorBoard: writes event files into the folder for temporary files"]
fn sample_events() -> Result<(), homeostat_report::ReportError> {
    let dir = std::env::temp_dir().join("homeostat-report-events");
    let report = report(&["0", "1", "2"]);
    let write = |mut events: EventWriter, steps: std::ops::RangeInclusive<u64>, wall: f64| {
        for series in &report.curves {
            for point in series.points.iter().filter(|point| steps.contains(&point.step)) {
                let tag = format!("{}/{}", series.name, series.part);
                events.scalar(point.step, wall + point.step as f64, &tag, point.value)?;
            }
        }
        events.image(*steps.end(), wall, "augmented", &png(28, 3))?;
        events.text(*steps.end(), wall, "experiment", &format!("```toml\n{}\n```", report.config))?;
        events.flush()
    };
    write(EventWriter::open(&dir, 1_795_000_000.0)?, 1..=300, 1_795_000_000.0)?;
    write(EventWriter::append(&dir, 1_795_000_900.0, 271)?, 271..=STEPS, 1_795_000_900.0)?;
    println!("{}", dir.display());
    Ok(())
}
