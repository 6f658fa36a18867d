//! Draws series as inline SVG. Colours are marks that the report's style sheet replaces by
//! attribute, so one image serves light, dark and print.

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// Units of the image; it is scaled to the page.
const WIDTH: u32 = 480;
const HEIGHT: u32 = 230;
/// Columns that a long series is thinned to: two units each, finer than a screen shows.
const COLUMNS: usize = WIDTH as usize / 2;

/// Height of labels.
const FONT: u32 = 13;

const TEXT: RGBColor = RGBColor(0x6b, 0x72, 0x80);
const GRID: RGBColor = RGBColor(0xe5, 0xe7, 0xeb);
const AXIS: RGBColor = RGBColor(0x9c, 0xa3, 0xaf);
/// Series that one image can tell apart.
pub(crate) const SERIES_MAX: usize = 3;
/// First, second and third series, as in the style sheet.
const SERIES: [RGBColor; SERIES_MAX] =
    [RGBColor(0x25, 0x63, 0xeb), RGBColor(0xc2, 0x41, 0x0c), RGBColor(0x04, 0x78, 0x57)];
/// Behind the first series: what it was drawn from.
const PALE: RGBColor = RGBColor(0xbf, 0xdb, 0xfe);

pub(crate) enum Look {
    /// A pale line of all values with a smoothed one over it.
    Noisy,
    /// One line.
    Plain,
    /// A line with a dot at each value.
    Dotted,
}

pub(crate) struct Series {
    pub look: Look,
    /// Ascending in x.
    pub points: Vec<(f64, f64)>,
}

pub(crate) struct Curves<'a> {
    /// What a screen reader says: made by us, never a user's text.
    pub alt: &'a str,
    pub series: Vec<Series>,
    /// A vertical line here: the best step.
    pub mark: Option<f64>,
    /// The axis begins at zero.
    pub from_zero: bool,
}

/// Line charts over steps; nothing where no series has a point.
pub(crate) fn curves(chart: &Curves) -> Result<Option<String>> {
    let all = || chart.series.iter().flat_map(|it| it.points.iter()).filter(|it| it.1.is_finite());
    let Some(x_max) = all().map(|it| it.0).reduce(f64::max) else { return Ok(None) };
    let low = all().map(|it| it.1).fold(f64::INFINITY, f64::min);
    let high = all().map(|it| it.1).fold(f64::NEG_INFINITY, f64::max);
    let (low, high) = axis(if chart.from_zero { low.min(0.0) } else { low }, high);
    let mut svg = String::new();
    draw_curves(&mut svg, chart, x_max.max(1.0), low, high)
        .map_err(|it| anyhow!("drawing a chart: {it}"))?;
    Ok(Some(inline(&svg, chart.alt)))
}

type Drawn = Result<(), Box<dyn std::error::Error>>;

fn draw_curves(svg: &mut String, chart: &Curves, x_max: f64, low: f64, high: f64) -> Drawn {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let mut area = ChartBuilder::on(&root)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(26)
        .y_label_area_size(46)
        .build_cartesian_2d(0.0..x_max, low..high)?;
    let labels = TextStyle::from(("sans-serif", FONT)).color(&TEXT);
    let x_label = |x: &f64| short(*x);
    let y_label = |y: &f64| short(*y);
    area.configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(7)
        .y_labels(6)
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label)
        .label_style(labels.clone())
        .draw()?;
    if let Some(x) = chart.mark {
        area.draw_series(DashedLineSeries::new([(x, low), (x, high)], 4, 4, AXIS.into()))?;
        let (side, text) =
            if x < x_max * 0.8 { (HPos::Left, " best") } else { (HPos::Right, "best ") };
        area.draw_series([Text::new(text, (x, high), labels.pos(Pos::new(side, VPos::Top)))])?;
    }
    for (series, colour) in chart.series.iter().zip(SERIES) {
        let points: Vec<(f64, f64)> =
            series.points.iter().copied().filter(|it| it.1.is_finite()).collect();
        if matches!(series.look, Look::Noisy) {
            area.draw_series(LineSeries::new(extremes(&points, x_max), PALE))?;
        }
        let line =
            if matches!(series.look, Look::Noisy) { smoothed(&points) } else { points.clone() };
        area.draw_series(LineSeries::new(means(&line, x_max), colour.stroke_width(2)))?;
        if matches!(series.look, Look::Dotted) {
            area.draw_series(points.iter().map(|&it| Circle::new(it, 3, colour.filled())))?;
        }
    }
    root.present()?;
    Ok(())
}

/// Bars over (lower, upper] ranges, with a vertical line at `mark`.
pub(crate) fn histogram(
    alt: &str,
    bars: &[(u32, u64)],
    mark: Option<u32>,
) -> Result<Option<String>> {
    let Some(&(x_max, _)) = bars.last() else { return Ok(None) };
    let mut svg = String::new();
    draw_histogram(&mut svg, bars, f64::from(x_max.max(mark.unwrap_or(0))), mark)
        .map_err(|it| anyhow!("drawing a chart: {it}"))?;
    Ok(Some(inline(&svg, alt)))
}

fn draw_histogram(svg: &mut String, bars: &[(u32, u64)], x_max: f64, mark: Option<u32>) -> Drawn {
    let most = bars.iter().map(|it| it.1).max().unwrap_or(0).max(1) as f64;
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let mut area = ChartBuilder::on(&root)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(24)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..x_max * 1.02, 0.0..most * 1.1)?;
    let labels = TextStyle::from(("sans-serif", FONT)).color(&TEXT);
    let label = |it: &f64| short(*it);
    area.configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(8)
        .y_labels(5)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .label_style(labels.clone())
        .draw()?;
    let mut lower = 0;
    for &(upper, n) in bars {
        let gap = f64::from(upper - lower) * 0.06;
        let corners = [(f64::from(lower) + gap, 0.0), (f64::from(upper) - gap, n as f64)];
        area.draw_series([Rectangle::new(corners, SERIES[0].filled())])?;
        lower = upper;
    }
    if let Some(mark) = mark.map(f64::from) {
        area.draw_series(DashedLineSeries::new(
            [(mark, 0.0), (mark, most * 1.1)],
            4,
            4,
            AXIS.into(),
        ))?;
        let (side, text) =
            if mark < x_max * 0.7 { (HPos::Left, " cut here") } else { (HPos::Right, "cut here ") };
        area.draw_series([Text::new(
            text,
            (mark, most * 1.1),
            labels.pos(Pos::new(side, VPos::Top)),
        )])?;
    }
    root.present()?;
    Ok(())
}

/// Points that an image shows; of more, every n-th.
const POINTS_MAX: usize = 1_500;

/// What is said (y) over what is true (x), with the line where both are equal; nothing where there
/// is no point.
pub(crate) fn scatter(alt: &str, points: &[(f64, f64)]) -> Result<Option<String>> {
    let shown: Vec<(f64, f64)> =
        points.iter().copied().step_by(points.len().div_ceil(POINTS_MAX).max(1)).collect();
    let ends = |pick: fn(&(f64, f64)) -> f64| {
        let low = shown.iter().map(pick).fold(f64::INFINITY, f64::min);
        let high = shown.iter().map(pick).fold(f64::NEG_INFINITY, f64::max);
        axis(low, high)
    };
    if shown.is_empty() {
        return Ok(None);
    }
    let (x, y) = (ends(|it| it.0), ends(|it| it.1));
    let mut svg = String::new();
    draw_scatter(&mut svg, &shown, x, y).map_err(|it| anyhow!("drawing a chart: {it}"))?;
    Ok(Some(inline(&svg, alt)))
}

fn draw_scatter(svg: &mut String, points: &[(f64, f64)], x: (f64, f64), y: (f64, f64)) -> Drawn {
    let root = SVGBackend::with_string(svg, (WIDTH, HEIGHT)).into_drawing_area();
    let mut area = ChartBuilder::on(&root)
        .margin(8)
        .margin_right(20)
        .x_label_area_size(26)
        .y_label_area_size(46)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    let label = |it: &f64| short(*it);
    area.configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(AXIS)
        .x_labels(7)
        .y_labels(6)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .label_style(TextStyle::from(("sans-serif", FONT)).color(&TEXT))
        .draw()?;
    let (low, high) = (x.0.max(y.0), x.1.min(y.1));
    if low < high {
        area.draw_series(DashedLineSeries::new([(low, low), (high, high)], 4, 4, AXIS.into()))?;
    }
    area.draw_series(points.iter().map(|&it| Circle::new(it, 2, SERIES[0].mix(0.6).filled())))?;
    root.present()?;
    Ok(())
}

/// Room above and below; a flat line gets an axis too.
fn axis(low: f64, high: f64) -> (f64, f64) {
    let span = (high - low).max(high.abs() * 1e-3).max(1e-9);
    let below = if low == 0.0 { 0.0 } else { low - span * 0.06 };
    (below, high + span * 0.06)
}

/// A label of an axis: `0.25`, `1500`, `5e-5`.
fn short(value: f64) -> String {
    // Labels are multiples of a round step, but for the error of adding it up.
    if value.abs() < 1e-9 {
        return "0".into();
    }
    if value.abs() < 1e-2 {
        let text = format!("{value:.1e}");
        return text.replace(".0e", "e");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn columns(points: &[(f64, f64)], x_max: f64) -> impl Iterator<Item = &[(f64, f64)]> {
    let column = move |x: f64| (x / x_max * COLUMNS as f64) as usize;
    points.chunk_by(move |a, b| column(a.0) == column(b.0))
}

/// Lowest and highest value of each column, so that no spike is lost.
fn extremes(points: &[(f64, f64)], x_max: f64) -> Vec<(f64, f64)> {
    let mut out = Vec::new();
    for column in columns(points, x_max) {
        let low = column.iter().copied().min_by(|a, b| a.1.total_cmp(&b.1));
        let high = column.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
        match (low, high) {
            (Some(low), Some(high)) if low == high => out.push(low),
            (Some(low), Some(high)) if low.0 <= high.0 => out.extend([low, high]),
            (Some(low), Some(high)) => out.extend([high, low]),
            _ => {}
        }
    }
    out
}

/// Mean of each column.
fn means(points: &[(f64, f64)], x_max: f64) -> Vec<(f64, f64)> {
    let mean = |column: &[(f64, f64)]| {
        let n = column.len() as f64;
        (
            column.iter().map(|it| it.0).sum::<f64>() / n,
            column.iter().map(|it| it.1).sum::<f64>() / n,
        )
    };
    columns(points, x_max).map(mean).collect()
}

/// Exponential moving average over about a fortieth of the run, corrected for its start (as Adam's
/// moments are).
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let keep = 1.0 - 1.0 / (points.len() as f64 / 40.0).clamp(1.0, 200.0);
    let (mut sum, mut weight) = (0.0, 0.0);
    let smooth = |&(x, y): &(f64, f64)| {
        sum = keep * sum + (1.0 - keep) * y;
        weight = keep * weight + (1.0 - keep);
        (x, sum / weight)
    };
    points.iter().map(smooth).collect()
}

/// The image without a fixed size, named for screen readers.
fn inline(svg: &str, alt: &str) -> String {
    let head = format!("<svg width=\"{WIDTH}\" height=\"{HEIGHT}\" ");
    svg.replacen(&head, &format!("<svg role=\"img\" aria-label=\"{alt}\" class=\"chart\" "), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Option<String> {
        curves(&Curves {
            alt: "Loss",
            series: vec![Series { look: Look::Noisy, points }],
            mark: Some(3.0),
            from_zero: true,
        })
        .unwrap()
    }

    #[test]
    fn thirty_thousand_steps_become_a_small_image_that_keeps_the_spike() {
        let mut points: Vec<(f64, f64)> =
            (1..=30_000).map(|it| (f64::from(it), 1.0 / f64::from(it).sqrt())).collect();
        points[20_000].1 = 9.0;
        assert!(extremes(&points, 30_000.0).contains(&points[20_000]));
        let svg = chart(points).unwrap();
        assert!(svg.len() < 40_000, "{}", svg.len());
    }

    #[test]
    fn one_point_flat_lines_and_nothing_at_all_do_not_break_the_axis() {
        assert_eq!(chart(Vec::new()), None);
        assert_eq!(chart(vec![(1.0, f64::NAN)]), None);
        for points in [vec![(1.0, 0.0)], vec![(1.0, 5.0), (2.0, 5.0)], vec![(5.0, -1.0)]] {
            assert!(!chart(points).unwrap().contains("NaN"));
        }
        assert_eq!(histogram("Tokens", &[], None).unwrap(), None);
        assert!(histogram("Tokens", &[(8, 0)], Some(256)).unwrap().is_some());
    }

    #[test]
    fn fifty_thousand_points_become_a_small_image() {
        let points: Vec<(f64, f64)> =
            (0..50_000).map(|it| (f64::from(it), f64::from(it) * 0.9)).collect();
        let svg = scatter("Said over true", &points).unwrap().unwrap();
        assert!((1_000..=POINTS_MAX).contains(&svg.matches("<circle").count()));
        assert!(svg.len() < 200_000, "{}", svg.len());
        assert_eq!(scatter("Said over true", &[]).unwrap(), None);
        assert!(!scatter("Said over true", &[(1.0, 1.0)]).unwrap().unwrap().contains("NaN"));
    }

    #[test]
    fn an_image_takes_the_size_of_the_page() {
        let svg = chart(vec![(1.0, 1.0), (2.0, 0.5)]).unwrap();
        assert!(
            svg.starts_with("<svg role=\"img\" aria-label=\"Loss\" class=\"chart\" viewBox="),
            "{}",
            &svg[..120]
        );
    }

    #[test]
    fn labels_of_axes_are_short() {
        assert_eq!(
            [0.0, 0.25, 1500.0, 5e-5, 2.5e-4, 0.30000000000000004].map(short),
            ["0", "0.25", "1500", "5e-5", "2.5e-4", "0.3"]
        );
    }
}
