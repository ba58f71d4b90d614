//! Confidence against accuracy: the reliability diagram, with the number of samples below it.

use super::{figures, html::Html};
use crate::{Reliability, ReliabilityBin};

/// The side of the diagram, and what lies around it.
const SIDE: f64 = 260.0;
const LEFT: f64 = 44.0;
const TOP: f64 = 10.0;
/// The height of the columns of counts.
const COUNTS: f64 = 44.0;

/// The diagram and a sentence that says what it shows.
pub(super) fn render(reliability: &Reliability) -> Html {
    let mut html = Html::of("<div class=\"pair\"><figure>{}", &[&diagram(reliability)]);
    html.put("<figcaption>Dots: the mean confidence and the accuracy of a bin. Below: its number of samples.</figcaption></figure>", &[]);
    html.put("<div><p class=\"figure\">{}</p>", &[&figures::percent(reliability.calibration_error)]);
    html.put("<p class=\"label\">expected calibration error</p><p>{}</p></div></div>", &[&verdict(reliability)]);
    html
}

fn diagram(reliability: &Reliability) -> Html {
    let (right, bottom) = (LEFT + SIDE, TOP + SIDE);
    let foot = bottom + 14.0 + COUNTS;
    let size: [&dyn super::html::Show; 2] = [&(right + 14.0), &(foot + 42.0)];
    let mut svg = Html::of("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" ", &size);
    svg.put("aria-label=\"reliability diagram: {}\"><g class=\"axis\">", &[&verdict(reliability)]);
    for fifth in 0..=5 {
        let share = f64::from(fifth) / 5.0;
        let (x, y) = (LEFT + share * SIDE, bottom - share * SIDE);
        svg.put("<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", &[&LEFT, &right, &y, &y]);
        let label = format!("{share:.1}");
        svg.put("<text class=\"y\" x=\"{}\" y=\"{}\">{}</text>", &[&(LEFT - 8.0), &(y + 4.5), &label]);
        svg.put("<text class=\"x\" x=\"{}\" y=\"{}\">{}</text>", &[&x, &(foot + 18.0), &label]);
    }
    svg.put("<line class=\"base\" x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\"/>", &[&LEFT, &right, &foot, &foot]);
    svg.put("<text class=\"x\" x=\"{}\" y=\"{}\">confidence</text>", &[&(LEFT + SIDE / 2.0), &(foot + 37.0)]);
    svg.put("<text class=\"unit\" x=\"{}\" y=\"{}\">accuracy</text></g>", &[&(LEFT + 6.0), &(TOP + 15.0)]);
    svg.put("<path class=\"ideal\" d=\"M{} {}L{} {}\"/>", &[&LEFT, &bottom, &right, &TOP]);
    let most = reliability.bins.iter().map(|bin| bin.count).max().unwrap_or(0).max(1) as f64;
    let width = SIDE / reliability.bins.len().max(1) as f64;
    for (index, bin) in reliability.bins.iter().enumerate().filter(|(_, bin)| measured(bin)) {
        let x = LEFT + index as f64 * width;
        let column = |y: f64| Html::of("x=\"{}\" y=\"{}\" width=\"{}\"", &[&(x + 1.0), &y, &(width - 2.0)]);
        let height = (COUNTS * bin.count as f64 / most).max(1.0);
        svg.put("<g><title>{}</title>", &[&bin_title(bin)]);
        svg.put("<rect class=\"count\" {} height=\"{}\"/>", &[&column(foot - height), &height]);
        let height = bin.accuracy.clamp(0.0, 1.0) * SIDE;
        svg.put("<rect class=\"bar\" {} height=\"{}\"/>", &[&column(bottom - height), &height]);
        let middle = LEFT + bin.confidence.clamp(0.0, 1.0) * SIDE;
        svg.put("<circle cx=\"{}\" cy=\"{}\" r=\"4\"/></g>", &[&middle, &(bottom - height)]);
    }
    svg.put("</svg>", &[]);
    svg
}

fn measured(bin: &ReliabilityBin) -> bool {
    bin.count > 0 && bin.accuracy.is_finite() && bin.confidence.is_finite()
}

fn bin_title(bin: &ReliabilityBin) -> String {
    let [confidence, accuracy] = [bin.confidence, bin.accuracy].map(figures::share);
    format!("{} samples: confidence {confidence}, accuracy {accuracy}", figures::count(bin.count))
}

/// Whether the network claims too much or too little.
fn verdict(reliability: &Reliability) -> String {
    let Reliability { bins, accuracy_interval: (low, high), .. } = reliability;
    let total: u64 = bins.iter().filter(|bin| measured(bin)).map(|bin| bin.count).sum();
    if total == 0 {
        return "No sample was measured.".to_owned();
    }
    let mean = |figure: fn(&ReliabilityBin) -> f64| {
        bins.iter().filter(|bin| measured(bin)).map(|bin| figure(bin) * bin.count as f64).sum::<f64>() / total as f64
    };
    let (confidence, accuracy) = (mean(|bin| bin.confidence), mean(|bin| bin.accuracy));
    let word = match confidence - accuracy {
        _ if (*low..=*high).contains(&confidence) => {
            "The network keeps what it claims, as far as so few samples can tell"
        }
        0.005.. => "The network claims more than it keeps",
        ..-0.005 => "The network is better than it claims",
        _ => "The network keeps what it claims",
    };
    format!(
        "{word}: its mean confidence is {}, its accuracy {}.",
        figures::percent(confidence),
        figures::percent(accuracy)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_samples_are_no_verdict() {
        let bins = vec![ReliabilityBin { count: 5, confidence: 0.9, accuracy: 1.0 }];
        let said =
            |accuracy_interval| verdict(&Reliability { bins: bins.clone(), accuracy_interval, calibration_error: 0.1 });
        assert!(said((0.57, 1.0)).contains("as far as so few samples can tell"), "{}", said((0.57, 1.0)));
        assert!(said((0.98, 1.0)).starts_with("The network is better than it claims"), "{}", said((0.98, 1.0)));
    }
}
