//! The dense layer: `relu(x W + bias)`, with `W` as `[in, out]`, forward and backward.

use rayon::prelude::*;

use crate::{
    buffer::by_chunks,
    product::{End, Panel, Product, Rows, Segment, Walk, panels, spaced},
    simd::Isa,
};

/// The shape of one dense layer.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    pub(crate) rows: usize,
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) relu: bool,
}

impl Dense {
    /// `[rows, outputs]`
    pub(crate) fn forward(&self, isa: Isa, x: &[f32], weight: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let matrix = Matrix { rows: self.rows, terms: self.inputs, columns: self.outputs };
        matrix.times(isa, x, weight, End::Store { bias, relu: self.relu })
    }

    /// `gradient` times the weights' transpose: `[rows, inputs]`.
    pub(crate) fn input_gradient(&self, isa: Isa, weight: &[f32], gradient: &[f32]) -> Vec<f32> {
        let matrix = Matrix { rows: self.rows, terms: self.outputs, columns: self.inputs };
        matrix.times(isa, gradient, &transpose(weight, self.outputs), End::Store { bias: None, relu: false })
    }

    /// The transpose of `x` times `gradient`: `[inputs, outputs]`.
    pub(crate) fn weight_gradient(&self, isa: Isa, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        // Sums over many rows are cut, which keeps them near in memory and their rounding small.
        let parts = self.rows.div_ceil(256);
        let panels = panels(self.outputs, isa, 4);
        let block = 48;
        by_chunks(self.inputs * self.outputs, block * self.outputs, |index, out| {
            for part in 0..parts {
                let first = part * 256;
                let walk = Walk {
                    segments: vec![Segment { a: 0, b: 0, len: 256.min(self.rows - first) }],
                    a_step: self.inputs,
                    b_step: self.outputs,
                };
                for panel in &panels {
                    isa.run(Product {
                        a: x,
                        rows: &Plain { first: first * self.inputs + index * block, step: 1, out: self.outputs },
                        range: 0..out.len() / self.outputs,
                        b: gradient,
                        b_at: first * self.outputs + panel.at,
                        b_padded: false,
                        walk: &walk,
                        panel: *panel,
                        out_at: panel.at,
                        out,
                        end: End::Add,
                    });
                }
            }
        })
    }
}

/// A product of two matrices in row-major order.
struct Matrix {
    rows: usize,
    terms: usize,
    columns: usize,
}

impl Matrix {
    fn times(&self, isa: Isa, a: &[f32], b: &[f32], end: End<'_>) -> Vec<f32> {
        let walk = Walk { segments: vec![Segment { a: 0, b: 0, len: self.terms }], a_step: 1, b_step: self.columns };
        // A small batch makes few tasks: narrow panels make more of them. The sums of a row or two alone would wait for
        // each other, so their panels are wide.
        let panels = panels(self.columns, isa, if (3..=64).contains(&self.rows) { 2 } else { 4 });
        let block = if self.rows <= 64 { 12 } else { 48 };
        let blocks = self.rows.div_ceil(block);
        let tasks: Vec<(usize, Panel)> =
            panels.iter().flat_map(|panel| (0..blocks).map(move |index| (index * block, *panel))).collect();
        let parts: Vec<Vec<f32>> = tasks
            .par_iter()
            .map(|&(first, panel)| {
                let count = block.min(self.rows - first);
                let mut part = vec![0.0; count * panel.width];
                isa.run(Product {
                    a,
                    rows: &Plain { first: first * self.terms, step: self.terms, out: panel.width },
                    range: 0..count,
                    b,
                    b_at: panel.at,
                    b_padded: false,
                    walk: &walk,
                    panel,
                    out_at: 0,
                    out: &mut part,
                    end,
                });
                part
            })
            .collect();
        let mut out = vec![0.0; self.rows * self.columns];
        for ((first, panel), part) in tasks.into_iter().zip(parts) {
            let rows = out[first * self.columns..].chunks_mut(self.columns);
            for (row, part) in rows.zip(part.chunks_exact(panel.width)) {
                row[panel.at..][..panel.width].copy_from_slice(part);
            }
        }
        out
    }
}

/// `[rows, columns]` to `[columns, rows]`.
fn transpose(from: &[f32], columns: usize) -> Vec<f32> {
    let rows = from.len() / columns;
    const TILE: usize = 16;
    by_chunks(from.len(), TILE * rows, |index, to| {
        for block in (0..rows).step_by(TILE) {
            for (column, to) in to.chunks_exact_mut(rows).enumerate() {
                for row in block..(block + TILE).min(rows) {
                    to[row] = from[row * columns + index * TILE + column];
                }
            }
        }
    })
}

struct Plain {
    first: usize,
    step: usize,
    out: usize,
}

impl Rows for Plain {
    fn a(&self, row: usize, to: &mut [usize]) {
        spaced(self.first + row * self.step, self.step, to);
    }

    fn out(&self, row: usize, to: &mut [usize]) {
        spaced(row * self.out, self.out, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instruction_set_agrees_with_double_precision() {
        for [rows, inputs, outputs] in [[1, 1, 1], [5, 19, 70], [70, 3, 33], [300, 40, 9]] {
            let dense = Dense { rows, inputs, outputs, relu: false };
            let numbers = |count: usize, seed: usize| -> Vec<f32> {
                (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.0 - 1.0).collect()
            };
            let (x, w, g) = (numbers(rows * inputs, 1), numbers(inputs * outputs, 2), numbers(rows * outputs, 3));
            let (mut y, mut x_gradient) = (vec![0.0_f64; rows * outputs], vec![0.0_f64; rows * inputs]);
            let mut w_gradient = vec![0.0_f64; inputs * outputs];
            for term in 0..rows * inputs * outputs {
                let (row, input, output) = (term / (inputs * outputs), term / outputs % inputs, term % outputs);
                let [x_at, w_at, y_at] = [row * inputs + input, input * outputs + output, row * outputs + output];
                y[y_at] += f64::from(x[x_at]) * f64::from(w[w_at]);
                x_gradient[x_at] += f64::from(g[y_at]) * f64::from(w[w_at]);
                w_gradient[w_at] += f64::from(g[y_at]) * f64::from(x[x_at]);
            }
            for isa in Isa::supported() {
                let check = |ours: &[f32], exact: &[f64]| {
                    for (&ours, &exact) in ours.iter().zip(exact) {
                        assert!((f64::from(ours) - exact).abs() < 2e-5 * (1.0 + exact.abs()), "{isa:?}, {dense:?}");
                    }
                };
                check(&dense.forward(isa, &x, &w, None), &y);
                check(&dense.input_gradient(isa, &w, &g), &x_gradient);
                check(&dense.weight_gradient(isa, &x, &g), &w_gradient);
            }
        }
    }
}
