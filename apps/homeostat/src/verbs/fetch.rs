//! `homeostat data fetch`: a public data set into the cache. How bytes come is in `homeostat-fetch`, what they are in `homeostat-data`.

use std::{
    fs::{self, File},
    io::{self, BufReader, IsTerminal, Write},
    path::Path,
};

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use homeostat_data::KnownData;
use homeostat_fetch::{Cache, FetchOptions, Fetcher, Progress, Remote};
use indicatif::ProgressBar;
use tar::Archive;

use super::{Done, table::print_table};
use crate::{cli::Fetch, progress::fetching_bar};

pub(crate) fn run(arguments: &Fetch) -> anyhow::Result<Done> {
    let mut out = io::stdout().lock();
    let Some(name) = &arguments.name else {
        list(&mut out, arguments.json)?;
        return Ok(Done::Well);
    };
    let Some(data) = KnownData::find(name) else {
        let known: Vec<&str> = KnownData::ALL.iter().map(|data| data.name).collect();
        bail!("unknown data set `{name}`: give one of {}", known.join(", "));
    };
    let cache = Cache::find(|name| std::env::var_os(name));
    let folder = cache.context("no place for the cache: set HOMEOSTAT_CACHE to a folder")?.data().join(data.name);
    let was_there = folder.is_dir();
    if !was_there {
        fetch(data, &folder)?;
    }
    if arguments.json {
        let line = serde_json::json!({ "name": data.name, "folder": folder, "fetched": !was_there });
        writeln!(out, "{line}")?;
    } else if was_there {
        writeln!(out, "{name} is there already: {} (remove the folder to fetch it again)", folder.display())?;
    } else {
        writeln!(out, "{name} is now in {}", folder.display())?;
    }
    Ok(Done::Well)
}

fn list(out: &mut dyn Write, json: bool) -> anyhow::Result<()> {
    if json {
        for data in KnownData::ALL {
            writeln!(out, "{}", serde_json::json!({ "name": data.name, "about": data.about }))?;
        }
        return Ok(());
    }
    let row = |data: &KnownData| vec![data.name.to_owned(), data.about.to_owned()];
    print_table(out, &["name", "what it is"], &KnownData::ALL.iter().map(row).collect::<Vec<_>>())?;
    Ok(())
}

fn fetch(data: &KnownData, folder: &Path) -> anyhow::Result<()> {
    let remotes: Vec<Remote> = data
        .files
        .iter()
        .map(|file| Remote {
            name: file.name.to_owned(),
            urls: file.urls().collect(),
            sha256: Some(file.sha256.to_owned()),
            bytes: file.bytes,
        })
        .collect();
    let unpack = |staging: &Path| match data.unpack {
        Some(inside) => remotes.iter().try_for_each(|remote| unpack(&staging.join(&remote.name), inside, staging)),
        None => Ok(()),
    };
    let bar = if io::stderr().is_terminal() { fetching_bar() } else { ProgressBar::hidden() };
    let mut watch = |progress: Progress<'_>| match progress {
        Progress::Waiting => tracing::warn!("another process fetches it; waiting for that"),
        Progress::Failed { tried, .. } => bar.suspend(|| tracing::warn!("{tried}")),
        Progress::Bytes { name, have, total } => {
            bar.set_message(name.to_owned());
            total.into_iter().for_each(|total| bar.set_length(total));
            bar.set_position(have);
        }
    };
    Fetcher::new(FetchOptions::default()).folder(&remotes, folder, &unpack, &mut watch)?;
    bar.finish_and_clear();
    Ok(())
}

/// Puts the files that lie in the folder `inside` of the archive into `folder`, and removes the archive.
fn unpack(archive: &Path, inside: &str, folder: &Path) -> io::Result<()> {
    let mut tar = Archive::new(GzDecoder::new(BufReader::new(File::open(archive)?)));
    for entry in tar.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let name = path.strip_prefix(inside).ok().filter(|name| name.components().count() == 1);
        if let (true, Some(name)) = (entry.header().entry_type().is_file(), name.and_then(Path::file_name)) {
            io::copy(&mut entry, &mut File::create(folder.join(name))?)?;
        }
    }
    fs::remove_file(archive)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use flate2::{Compression, write::GzEncoder};

    #[test]
    fn files_of_the_folder_come_out_of_the_archive_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let archive = folder.path().join("set.tar.gz");
        let mut tar = tar::Builder::new(GzEncoder::new(fs::File::create(&archive).unwrap(), Compression::fast()));
        for name in ["set/a.bin", "set/below/b.bin", "c.bin", "set/d.bin"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(name.len() as u64);
            tar.append_data(&mut header, name, name.as_bytes()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        super::unpack(&archive, "set", folder.path()).unwrap();
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, ["a.bin", "d.bin"]);
        assert_eq!(fs::read_to_string(folder.path().join("d.bin")).unwrap(), "set/d.bin");
    }
}
