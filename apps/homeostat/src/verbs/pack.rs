//! `homeostat data pack`: a source into one file. The format is in `homeostat-data`.

use std::{
    io::{self, IsTerminal, Write},
    sync::Arc,
};

use homeostat_data::{ImagePrepare, LoaderOptions, OnCorrupt, PrepareStep, Resize, ResizeMode, Size};
use homeostat_train::Workers;
use indicatif::ProgressBar;

use super::{Done, data};
use crate::{args, cli::Pack};

pub(crate) fn run(arguments: &Pack) -> anyhow::Result<Done> {
    let Pack { out, size, shorter_side, skip_corrupt, .. } = arguments;
    args::check_ending(out, &["pack"])?;
    let roots = arguments.roots.find()?;
    let source = Arc::new(data::pictures(&arguments.source, &roots)?.open(&roots)?);
    let resize =
        |side: usize, mode| PrepareStep::Resize(Resize { size: Size::Square(side), mode, ..Resize::default() });
    let stretch = size.map(|side| resize(side, ResizeMode::Stretch));
    let shrink = shorter_side.map(|side| resize(side, ResizeMode::ShorterSide));
    let prepare = ImagePrepare(stretch.or(shrink).into_iter().collect());
    let on_corrupt = if *skip_corrupt { OnCorrupt::Skip } else { OnCorrupt::Error };
    let bar = if io::stderr().is_terminal() { ProgressBar::new(source.len() as u64) } else { ProgressBar::hidden() };
    let Workers { threads, prefetch_bytes } = Workers::default();
    let options = LoaderOptions { workers: threads, prefetch_bytes };
    let packed = source.pack(&prepare, (out, options), on_corrupt, &mut |done| bar.set_position(done as u64))?;
    bar.finish_and_clear();
    let mut stdout = io::stdout().lock();
    let (samples, bytes, path) = (packed.samples, packed.bytes, out.display());
    if arguments.json {
        let line = serde_json::json!({ "file": out, "samples": samples, "bytes": bytes, "skipped": packed.skipped });
        writeln!(stdout, "{line}")?;
        return Ok(Done::Well);
    }
    writeln!(stdout, "{path}: {samples} samples, {:.1} MB", bytes as f64 / 1e6)?;
    for skipped in &packed.skipped {
        writeln!(stdout, "left out: {}: {}", skipped.name, skipped.reason)?;
    }
    let (name, root) = (out.file_name().unwrap_or_default(), out.parent().filter(|root| !root.as_os_str().is_empty()));
    let root = root.map_or_else(String::new, |root| format!(" --data-root {}", root.display()));
    writeln!(stdout, "to learn from it: homeostat train EXPERIMENT source.packed.file={}{root}", name.display())?;
    Ok(Done::Well)
}
