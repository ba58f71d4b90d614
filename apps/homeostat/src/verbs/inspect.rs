//! `homeostat inspect`: walks one sample through an experiment.

use std::{fs, io::Write, sync::atomic::AtomicBool};

use anyhow::Context;
use homeostat_experiment::{Inspection, inspect};

use super::{Done, table::print_table};
use crate::{
    args::{self, Known},
    cli::Inspect,
};

pub(crate) fn run(arguments: &Inspect) -> anyhow::Result<Done> {
    if let Some(file) = &arguments.png {
        args::check_ending(file, &["png"])?;
    }
    let resolved = args::experiment(&arguments.experiment)?;
    args::with_setting(&arguments.place, Known::default(), &AtomicBool::new(false), |setting| {
        let Inspection { steps, sheet } = inspect(resolved, arguments.sample, setting)?;
        if let Some(file) = &arguments.png {
            fs::write(file, sheet.encode_png()).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let mut out = std::io::stdout().lock();
        if arguments.json {
            for step in &steps {
                writeln!(out, "{}", serde_json::to_string(step)?)?;
            }
        } else {
            // The sample's name may be long, and has no shape.
            let mut steps = steps.into_iter();
            if let Some(sample) = steps.next() {
                writeln!(out, "{}, {}", sample.step, sample.shape)?;
            }
            let rows: Vec<Vec<String>> = steps.map(|step| vec![step.step, step.shape, step.range]).collect();
            print_table(&mut out, &["step", "what comes out", "range"], &rows)?;
            if let Some(file) = &arguments.png {
                writeln!(out, "{} has pictures beside what augmentation makes of them", file.display())?;
            }
        }
        Ok(Done::Well)
    })
}
