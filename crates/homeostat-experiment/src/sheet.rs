//! Pictures side by side on one sheet. It does not know what they show.

use homeostat_data::{Filter, Image, Shape, resize};

/// The side of the square in which a picture stands, in pixels, and the gap between squares.
const CELL: usize = 112;
const GAP: usize = 6;
const PAPER: u8 = 255;

/// Rows of pictures on white; each is brought to the size of a square.
///
/// # Panics
/// If there is no picture at all.
#[must_use]
pub fn sheet(rows: &[Vec<Image>]) -> Image {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    assert!(columns > 0, "a sheet has pictures");
    let side = |cells: usize| cells * (CELL + GAP) + GAP;
    let shape = Shape { height: side(rows.len()), width: side(columns), channels: 3 };
    let mut sheet = Image::new(shape, vec![PAPER; shape.len()]);
    for (row, pictures) in rows.iter().enumerate() {
        for (column, picture) in pictures.iter().enumerate() {
            let fitted = fitted(picture);
            let middle = |side: usize| (CELL - side) / 2;
            put(&mut sheet, &fitted, side(row) + middle(fitted.height()), side(column) + middle(fitted.width()));
        }
    }
    sheet
}

/// The picture in colour, as large as fits into a square; a small one in whole pixels.
fn fitted(picture: &Image) -> Image {
    let longer = picture.height().max(picture.width());
    let picture = picture.clone().to_channels(3);
    if 2 * longer <= CELL {
        let times = CELL / longer;
        return resize(&picture, picture.height() * times, picture.width() * times, Filter::Nearest);
    }
    let side = |side: usize| (side * CELL / longer).max(1);
    resize(&picture, side(picture.height()), side(picture.width()), Filter::Bilinear)
}

fn put(sheet: &mut Image, picture: &Image, top: usize, left: usize) {
    let (width, bytes) = (sheet.width(), picture.width() * 3);
    for (row, pixels) in picture.pixels().chunks_exact(bytes).enumerate() {
        let start = ((top + row) * width + left) * 3;
        sheet.pixels_mut()[start..start + bytes].copy_from_slice(pixels);
    }
}
