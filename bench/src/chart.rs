//! The chart: CPU of init and first invocation, on a logarithmic scale.

use std::fmt::Write as _;

use crate::cases::Variant;
use crate::report::Report;

/// The height of a row, in pixels.
const ROW: usize = 22;
/// Where bars begin, and how long the longest is.
const LEFT: f64 = 240.0;
const WIDTH: f64 = 440.0;

/// The chart as SVG.
pub(crate) fn svg(report: &Report) -> String {
    let least = 0.5_f64;
    let most = report.subjects.iter().map(|figures| figures.start_cpu).fold(1.0, f64::max);
    let place = |ms: f64| WIDTH * (ms.max(least) / least).ln() / (most / least).ln();
    let height = ROW * (report.subjects.len() + 2);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"760\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"18\" font-weight=\"bold\">Cold start and first invocation: milliseconds of CPU (logarithmic)</text>\n",
    );
    for (row, figures) in report.subjects.iter().enumerate() {
        let colour = match figures.variant {
            Variant::Floor | Variant::Read => "#9aa0a6",
            Variant::Rust => "#b7410e",
            Variant::Previous => "#e0b39b",
            Variant::Node => "#3c873a",
        };
        let (top, length) = (ROW * (row + 1) + 8, place(figures.start_cpu));
        let (baseline, end) = (top + 13, LEFT + length + 6.0);
        let _ = writeln!(
            svg,
            "<text x=\"8\" y=\"{baseline}\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{length:.1}\" height=\"16\" fill=\"{colour}\"/>\
             <text x=\"{end:.1}\" y=\"{baseline}\">{:.1}</text>",
            figures.name, figures.start_cpu,
        );
    }
    svg + "</svg>\n"
}
