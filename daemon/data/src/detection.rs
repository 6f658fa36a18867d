//! Recognises drops that are made for finding things in images (YOLO, Pascal VOC, COCO): boxes and
//! outlines are no classes of whole images, and the folders of such an export are none either.

use crate::encoding;
use crate::format::Format;
use crate::inflate::Count;
use crate::inventory::{self, Inventory};
use crate::json_document;
use crate::refusal;
use crate::source::Source;
use crate::table::{Table, TableFile};
use finetuned_answers::Cell;
use finetuned_job::outcome::Failure;
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;

const CURE: &str = "for a class of each whole image, put the images into a folder for each class, or name file and label in a metadata.csv";
/// Files that are looked into.
const LOOKED_AT: usize = 20;

/// What is to be said of one box in each image, whose label may be that of the whole image.
///
/// # Errors
/// It is such a drop: which, and by which file that shows.
pub(crate) fn check(found: &Inventory) -> Result<Option<String>, Failure> {
    if let Some(file) = via(found) {
        return Err(refusal::data(format!(
            "{file} is an export of VIA (VGG Image Annotator), with labels of images in file_attributes and of places in regions, and is not read"
        ))
        .with_cure(CURE));
    }
    if found.images.is_empty() {
        return Ok(None);
    }
    let again = |it: &Table| (0..it.sample.columns.len()).any(|at| names_images_again(it, at));
    let several = || Some(("boxes in a table", boxes(found, again)?));
    match yolo(found).or_else(|| voc(found)).or_else(|| json(found)).or_else(several) {
        Some((form, file)) => Err(refusal::data(format!(
            "the drop is a detection export ({form}): {file} holds places in images, no class of a whole image"
        ))
        .with_cure(CURE)),
        None => Ok(boxes(found, |_| true).map(|file| {
            format!(
                "{file} has columns of a box in each image: its label was taken for that of the whole image"
            )
        })),
    }
}

/// The first table with corners or sizes of boxes that is such.
fn boxes(found: &Inventory, is: impl Fn(&Table) -> bool) -> Option<String> {
    const CORNERS: &[[&str; 4]] =
        &[["xmin", "ymin", "xmax", "ymax"], ["x1", "y1", "x2", "y2"], ["x", "y", "w", "h"]];
    let letters = |it: &String| -> String {
        it.chars().filter(|it| it.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let is_it = |it: &Table| {
        let names: HashSet<String> = it.sample.columns.iter().map(letters).collect();
        let has_boxes = names.contains("bbox")
            || CORNERS.iter().any(|it| it.iter().all(|it| names.contains(*it)));
        has_boxes && is(it)
    };
    let file = found.tables.iter().find(|it| it.glance().is_some_and(is_it))?;
    Some(file.name.clone())
}

fn names_images_again(table: &Table, column: usize) -> bool {
    let cells = table.sample.rows.iter().filter_map(|it| match &it[column] {
        Cell::Text(it) => Some(it.trim()),
        _ => None,
    });
    let images: Vec<&str> = cells.filter(|it| inventory::is_image_name(it)).collect();
    let different: HashSet<&&str> = images.iter().collect();
    table.sample.rows.len() < 2 * images.len() && different.len() < images.len()
}

fn stem(name: &str) -> &str {
    let own = name.rsplit('/').next().unwrap_or(name);
    own.rsplit_once('.').map_or(own, |it| it.0)
}

fn head(path: &Path, name: &str) -> Option<String> {
    const HEAD_BYTES: u64 = 512 << 10;
    let mut bytes = Vec::new();
    let source = Source::open(path, name).ok()?;
    source.stream(&Count::default()).ok()?.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
    encoding::decode(&bytes).ok().map(|it| it.0)
}

/// Texts called like images, of lines of numbers: a class, then a box or an outline.
fn yolo(found: &Inventory) -> Option<(&'static str, String)> {
    let images: HashSet<&str> = found.images.iter().map(|it| stem(&it.name)).collect();
    let beside: Vec<_> = found.texts.iter().filter(|it| images.contains(stem(&it.name))).collect();
    if beside.len() * 2 < found.texts.len() {
        return None;
    }
    let heads =
        beside.iter().take(LOOKED_AT).filter_map(|it| Some((it, head(&it.path, &it.name)?)));
    let filled: Vec<_> = heads.filter(|it| !it.1.trim().is_empty()).collect();
    let is_boxes = |text: &str| text.lines().filter(|it| !it.trim().is_empty()).all(is_box);
    let all = !filled.is_empty() && filled.iter().all(|it| is_boxes(&it.1));
    all.then(|| ("YOLO", filled[0].0.name.clone()))
}

fn is_box(line: &str) -> bool {
    let fields: Vec<&str> = line.split_whitespace().collect();
    5 <= fields.len()
        && fields[0].bytes().all(|it| it.is_ascii_digit())
        && fields[1..].iter().all(|it| it.parse::<f64>().is_ok())
}

fn voc(found: &Inventory) -> Option<(&'static str, String)> {
    let xml = found.not_read.iter().map(|it| &it.0).filter(|it| it.name.ends_with(".xml"));
    let is_it = |text: String| {
        text.contains("<annotation") && (text.contains("<object") || text.contains("<image"))
    };
    let mut looked_at = xml.take(LOOKED_AT);
    let first = looked_at.find(|it| head(&it.path, &it.name).is_some_and(is_it))?;
    Some(("Pascal VOC, CVAT", first.name.clone()))
}

/// An object for each image, a project with them, or a table.
fn via(found: &Inventory) -> Option<String> {
    let is_table = |it: &Table| it.sample.columns.iter().any(|it| it == "region_shape_attributes");
    let is_json = |text: String| {
        let has = |it: &str| text.contains(&format!("\"{it}\""));
        has("_via_img_metadata") || ["filename", "regions", "file_attributes"].into_iter().all(has)
    };
    let is_it = |it: &&TableFile| match it.format {
        Format::Json | Format::JsonLines => head(&it.path, &it.name).is_some_and(is_json),
        Format::Csv => it.glance().is_some_and(is_table),
        _ => false,
    };
    Some(found.tables.iter().take(LOOKED_AT).find(is_it)?.name.clone())
}

/// COCO: lists of images and of annotations. `LabelMe`: outlines beside each image.
fn json(found: &Inventory) -> Option<(&'static str, String)> {
    // A table beside it names labels of its own.
    if found.tables.iter().any(|it| !matches!(it.format, Format::Json | Format::JsonLines)) {
        return None;
    }
    let json = found.tables.iter().filter(|it| it.format == Format::Json).take(LOOKED_AT);
    for file in json {
        let Some(text) = head(&file.path, &file.name) else { continue };
        let keys = json_document::keys(&text);
        let has = |name: &str| keys.iter().any(|it| it.0 == name);
        let places =
            ["\"bbox\"", "\"segmentation\"", "\"keypoints\"", "\"coordinates\"", "\"points\""];
        let any_place = places.iter().any(|it| text.contains(it));
        if has("images") && (has("annotations") || has("categories") || has("info") || any_place) {
            return Some(("COCO", file.name.clone()));
        }
        if has("annotations") && has("categories") {
            return Some(("COCO", file.name.clone()));
        }
        if has("shapes") && has("imagePath") {
            return Some(("LabelMe", file.name.clone()));
        }
        if keys.is_empty() && text.contains("\"coordinates\"") && text.contains("\"annotations\"") {
            return Some(("CreateML", file.name.clone()));
        }
    }
    None
}
