//! Sheets are PNGs with every image in its cell.

use finetuned_images::{Format, Pixels, contact_sheet, decode};

use crate::support::gradient;

#[test]
fn each_image_lies_in_its_cell_with_its_proportions() {
    let red = Pixels::new(40, 20, [255, 0, 0].repeat(800));
    let blue = Pixels::new(2, 2, [0, 0, 255].repeat(4));
    let png = contact_sheet(&[red, blue, gradient(300, 100)], 2, 20);
    let (facts, sheet) = decode(&png).expect("a PNG");
    // Two columns and two rows of 20 pixels, with 4 between and around.
    assert_eq!((facts.format, facts.width, facts.height), (Format::Png, 52, 52));
    let at = |x: usize, y: usize| &sheet.data()[(y * 52 + x) * 3..][..3];
    assert_eq!(at(5, 14), [255, 0, 0]); // 20 x 10, in the middle of its cell
    assert_eq!(at(5, 6), [255; 3]);
    assert_eq!(at(28, 4), [0, 0, 255]); // enlarged ten times
    assert_eq!(at(47, 23), [0, 0, 255]);
    assert_eq!(at(40, 40), [255; 3]); // no fourth image
}

#[test]
fn one_column_too_many_takes_no_room() {
    let (facts, _) = decode(&contact_sheet(&[gradient(8, 8)], 10, 16)).expect("a PNG");
    assert_eq!((facts.width, facts.height), (24, 24));
}
