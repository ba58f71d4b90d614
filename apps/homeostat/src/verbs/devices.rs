//! `homeostat devices`: what this build can compute on, on this machine.

use std::io::Write;

use super::{Done, table::print_table};
use crate::cli::Output;

pub(crate) fn run(output: Output) -> anyhow::Result<Done> {
    let mut out = std::io::stdout().lock();
    let reports = homeostat_device::survey();
    if output.json {
        for report in &reports {
            let value = match &report.state {
                Ok(what) => serde_json::json!({ "device": report.choice.to_string(), "ready": true, "what": what }),
                Err(error) => {
                    serde_json::json!({ "device": report.choice.to_string(), "ready": false, "why": error.to_string() })
                }
            };
            writeln!(out, "{value}")?;
        }
    } else if !output.quiet {
        let row = |report: &homeostat_device::DeviceReport| {
            let state = report.state.as_ref().map_or_else(ToString::to_string, |what| format!("ready, {what}"));
            vec![report.choice.to_string(), state]
        };
        print_table(&mut out, &["device", "state"], &reports.iter().map(row).collect::<Vec<_>>())?;
    }
    Ok(Done::Well)
}
