//! The event files, against TensorBoard's own encoding (`fixtures/make.py`) and a reader that checks every checksum.

use std::fs;

use homeostat_report::{ReportError, tensorboard::EventWriter};

const REFERENCE: &[u8] = include_bytes!("../fixtures/events.bin");
const PICTURE: &[u8] = include_bytes!("../fixtures/picture.png");
const WALL: f64 = 1_795_000_000.25;

/// CRC-32C bit by bit (RFC 3720, appendix B.4).
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

fn masked(bytes: &[u8]) -> u32 {
    checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of a file, with every checksum right and no byte left over.
fn records(mut file: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    while !file.is_empty() {
        let length = u64::from_le_bytes(file[..8].try_into().expect("8 bytes")) as usize;
        let number = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("4 bytes"));
        assert_eq!(number(8), masked(&file[..8]), "the checksum of a length");
        let (record, end) = (&file[12..12 + length], 12 + length);
        assert_eq!(number(end), masked(record), "the checksum of a record");
        records.push(record);
        file = &file[end + 4..];
    }
    records
}

#[test]
fn the_reader_knows_the_published_checksums() {
    assert_eq!(checksum(b"123456789"), 0xe306_9283);
    assert_eq!(checksum(&[0; 32]), 0x8a91_36aa);
    assert_eq!(checksum(&[0xff; 32]), 0x62a8_ab43);
}

#[test]
fn the_bytes_are_those_of_tensorboard() -> Result<(), ReportError> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let mut events = EventWriter::append(&dir.path().join("tensorboard"), WALL, 271)?;
    events.scalar(300, WALL + 1.0, "loss/train", 0.125)?;
    events.image(70_000, WALL + 2.0, "mistakes", PICTURE)?;
    events.text(1 << 40, WALL + 3.0, "experiment", "größer\n")?;
    events.flush()?;
    let written = fs::read(events.path()).expect("the file was written");
    assert_eq!(records(&written), records(REFERENCE));
    assert_eq!(written, REFERENCE);
    Ok(())
}

#[test]
fn a_fresh_file_begins_with_the_version_and_no_purge() -> Result<(), ReportError> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let mut events = EventWriter::open(dir.path(), WALL)?;
    events.flush()?;
    let written = fs::read(events.path()).expect("the file was written");
    assert_eq!(records(&written), records(REFERENCE)[..1]);
    Ok(())
}

#[test]
fn later_files_come_later_in_the_order_of_names_and_none_is_overwritten() -> Result<(), ReportError> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let walls = [9.0, 9.5, 9.9, 10.0, 999_999_999.0, WALL, WALL, WALL + 1.0];
    let mut paths = Vec::new();
    for wall in walls {
        paths.push(EventWriter::open(dir.path(), wall)?.path().to_owned());
    }
    assert!(paths.is_sorted_by(|a, b| a < b), "{paths:?}");
    assert!(paths.iter().all(|path| path.to_string_lossy().contains("tfevents")));
    Ok(())
}

#[test]
fn numbers_that_are_not_finite_are_written() -> Result<(), ReportError> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let mut events = EventWriter::open(dir.path(), WALL)?;
    for value in [f64::NAN, f64::INFINITY, 1e300] {
        events.scalar(0, WALL, "loss/train", value)?;
    }
    events.flush()?;
    let written = fs::read(events.path()).expect("the file was written");
    let values: Vec<f32> = records(&written)[1..]
        .iter()
        .map(|record| f32::from_le_bytes(record[record.len() - 4..].try_into().expect("4 bytes")))
        .collect();
    assert!(values[0].is_nan() && values[1..] == [f32::INFINITY; 2], "{values:?}");
    Ok(())
}

#[test]
fn what_is_no_picture_is_refused_and_nothing_is_written() -> Result<(), ReportError> {
    let dir = tempfile::tempdir().expect("a folder for temporary files");
    let mut events = EventWriter::open(dir.path(), WALL)?;
    for bytes in [b"".as_slice(), b"GIF89a", &PICTURE[..20]] {
        let refused = events.image(1, WALL, "mistakes", bytes);
        assert!(matches!(&refused, Err(ReportError::NotPng { tag }) if tag == "mistakes"), "{refused:?}");
    }
    events.flush()?;
    assert_eq!(records(&fs::read(events.path()).expect("the file was written")).len(), 1);
    Ok(())
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let file = tempfile::NamedTempFile::new().expect("a folder for temporary files");
    let error = EventWriter::open(file.path(), WALL).expect_err("a file is no folder");
    assert!(error.to_string().contains(&*file.path().to_string_lossy()), "{error}");
}
