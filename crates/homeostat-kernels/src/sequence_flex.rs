//! The operations of sequence networks on Burn's CPU tensors: from strided tensors to slices, and back.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};
use rayon::prelude::*;

use crate::{
    activation::sum_rows,
    attention::{Attend, AttendBack, Head, Mask},
    blocks::Blocks,
    buffer::by_chunks,
    curves::{Bend, Unbend},
    dropout::Dropped,
    entropy,
    flex::floats,
    gemm::{Matrix, Right, product, product_and, product_with},
    layer_norm::RowNorm,
    prepared::{Form, forget_the_dead, prepared},
    sequence::Curve,
    sequence_extension::Operation,
    simd::Isa,
};

/// `curve(x weight + bias)` for rows `x`.
#[derive(Clone, Debug)]
pub(crate) struct Dense {
    pub(crate) curve: Curve,
}

/// Rows that one task bends.
const ROWS: usize = 16;

impl Operation<3> for Dense {
    fn forward(&self, [x, weight, bias]: [FlexTensor; 3], keep: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let (isa, curve, [inputs, outputs]) = (Isa::detect(), self.curve, dims(&weight));
        let bias = floats(&bias);
        let begin = |_, column: usize, to: &mut [f32]| to.copy_from_slice(&bias[column..][..to.len()]);
        let shape = with_last(&x, outputs);
        let (floats_x, floats_w) = (floats(&x), floats(&weight));
        let (a, b) = (matrix(&floats_x, inputs), matrix(&floats_w, outputs));
        if keep && curve != Curve::Straight {
            let [straight, y] = product_and(isa, a, b, begin, |rows, bent| {
                for (x, row) in bent.iter_mut().zip(rows) {
                    x.copy_from_slice(row);
                    isa.run(Bend { curve, x });
                }
            });
            drop((floats_x, floats_w));
            return (tensor(y, shape.clone()), vec![x, weight, tensor(straight, shape)]);
        }
        let right = (!keep).then(|| prepared(&[&weight], Form::Dense, || Right::new(isa, b)));
        let bend = |rows: &mut [&mut [f32]]| rows.iter_mut().for_each(|x| isa.run(Bend { curve, x }));
        let y = product_with(isa, a, b, right.as_deref(), begin, bend);
        drop(right);
        drop((floats_x, floats_w));
        (tensor(y, shape), vec![x, weight])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        forget_the_dead();
        let (isa, curve) = (Isa::detect(), self.curve);
        let (x, weight) = (&kept[0], &kept[1]);
        let [inputs, outputs] = dims(weight);
        // Moved where it can be: a gradient that nobody shares is bent in place.
        let mut gradient = if gradient.is_contiguous() { gradient } else { gradient.to_contiguous() };
        if let Some(straight) = kept.get(2) {
            let start = gradient.layout().start_offset();
            let straight = floats(straight);
            gradient.storage_mut::<f32>()[start..][..straight.len()]
                .par_chunks_mut(ROWS * outputs)
                .zip(straight.par_chunks(ROWS * outputs))
                .for_each(|(gradient, x)| isa.run(Unbend { curve, x, gradient }));
        }
        let floats_g = floats(&gradient);
        let upstream = matrix(&floats_g, outputs);
        [
            wanted[0].then(|| {
                let weight = floats(weight);
                let out = product(isa, upstream, matrix(&weight, outputs).transposed(), |_, _, _| {}, |_| {});
                tensor(out, x.layout().shape().clone())
            }),
            wanted[1].then(|| {
                let x = floats(x);
                let out = product(isa, matrix(&x, inputs).transposed(), upstream, |_, _, _| {}, |_| {});
                tensor(out, Shape::from([inputs, outputs]))
            }),
            wanted[2].then(|| tensor(sum_rows(isa, outputs, &floats_g), Shape::from([outputs]))),
        ]
    }
}

/// Layer normalisation of the last axis.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) epsilon: f32,
}

impl LayerNorm {
    fn rows(&self, x: &FlexTensor) -> RowNorm {
        RowNorm { width: x.layout().shape()[x.layout().num_dims() - 1], epsilon: self.epsilon }
    }
}

impl Operation<3> for LayerNorm {
    fn forward(&self, [x, scale, shift]: [FlexTensor; 3], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let y = self.rows(&x).forward(Isa::detect(), &floats(&x), &floats(&scale), &floats(&shift));
        (tensor(y, x.layout().shape().clone()), vec![x, scale])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let (x, scale) = (&kept[0], &kept[1]);
        let found = self.rows(x).gradients(Isa::detect(), &floats(x), &floats(scale), &floats(&gradient));
        let shapes = [x, scale, scale].map(|like| like.layout().shape().clone());
        let mut found = found.into_iter().zip(shapes).map(|(floats, shape)| tensor(floats, shape));
        wanted.map(|wanted| found.next().filter(|_| wanted))
    }
}

/// The rows of a table that `ids` names.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    pub(crate) ids: FlexTensor,
}

impl Embedding {
    fn rows(&self, count: usize) -> Vec<usize> {
        numbers(&self.ids, count, "embedding")
    }
}

/// Whole numbers below `count`.
fn numbers(ids: &FlexTensor, count: usize, what: &str) -> Vec<usize> {
    let ids = ids.to_contiguous();
    let place = ids.layout().start_offset()..ids.layout().start_offset() + ids.layout().num_elements();
    let checked = |id: i64| match usize::try_from(id) {
        Ok(number) if number < count => number,
        _ => panic!("{what}: {id} is none of {count}"),
    };
    match ids.dtype() {
        DType::I64 => ids.storage::<i64>()[place].iter().map(|&id| checked(id)).collect(),
        DType::I32 => ids.storage::<i32>()[place].iter().map(|&id| checked(id.into())).collect(),
        other => unreachable!("ids of {other:?} go to Burn"),
    }
}

impl Operation<1> for Embedding {
    fn forward(&self, [table]: [FlexTensor; 1], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let [count, width] = dims(&table);
        let (rows, from) = (self.rows(count), floats(&table));
        let y = by_chunks(rows.len() * width, width, |index, to| {
            to.copy_from_slice(&from[rows[index] * width..][..width]);
        });
        let shape = self.ids.layout().shape().iter().copied().chain([width]).collect::<Vec<_>>();
        drop(from);
        (tensor(y, Shape::from(shape)), vec![table])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [count, width] = dims(&kept[0]);
        let (rows, gradient) = (self.rows(count), floats(&gradient));
        let block = 256;
        [wanted[0].then(|| {
            // Each task owns some rows of the table and takes what falls on them, in the order of the text.
            let out = by_chunks(count * width, block * width, |index, to| {
                for (&row, gradient) in rows.iter().zip(gradient.chunks_exact(width)) {
                    if row / block == index {
                        let to = &mut to[row % block * width..][..width];
                        to.iter_mut().zip(gradient).for_each(|(to, gradient)| *to += gradient);
                    }
                }
            });
            tensor(out, Shape::from([count, width]))
        })]
    }
}

/// Attention of `[batch, heads, length, width]`.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    /// True where a query does not see a key; an axis of 1 counts for all.
    pub(crate) mask: FlexTensor,
    pub(crate) causal: bool,
}

impl Operation<3> for Attention {
    fn forward(&self, inputs: [FlexTensor; 3], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let inputs = inputs.map(in_rows);
        let (y, weights) = attend(&inputs, self);
        let [batch, heads, queries, _] = dims(&inputs[0]);
        let [.., width] = dims::<4>(&inputs[2]);
        let y =
            tensor(y, Shape::from([batch, queries, heads, width])).with_layout(turned([batch, heads, queries, width]));
        let [query, key, value] = inputs;
        (y.clone(), vec![query, key, value, y, weights])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 3]) -> [Option<FlexTensor>; 3] {
        let shapes = [0, 1, 2].map(|index: usize| dims::<4>(&kept[index]));
        let mut outs = shapes.map(|[batch, heads, length, width]| Blocks::new(batch * length, heads * width));
        let [query, key, value] = &mut outs;
        let parts: Vec<_> = query
            .cut(shapes[0][2], shapes[0][3])
            .into_iter()
            .zip(key.cut(shapes[1][2], shapes[1][3]))
            .zip(value.cut(shapes[2][2], shapes[2][3]))
            .collect();
        attend_back(&kept, gradient, &self, parts, |((query, key), value)| [query.take(), key.take(), value.take()]);
        let mut found = outs.into_iter().zip(shapes).map(|(out, shape)| {
            let [batch, heads, length, width] = shape;
            tensor(out.filled(), Shape::from([batch, length, heads, width])).with_layout(turned(shape))
        });
        wanted.map(|wanted| found.next().filter(|_| wanted))
    }
}

/// Attention of a sequence `[batch, length, 3 * width]` of queries, keys and values to itself: `[batch, length, width]`.
#[derive(Clone, Debug)]
pub(crate) struct SelfAttention {
    pub(crate) heads: usize,
    pub(crate) attention: Attention,
}

impl SelfAttention {
    /// Queries, keys and values as `[batch, heads, length, width]`.
    fn views(&self, qkv: &FlexTensor) -> [FlexTensor; 3] {
        let [batch, length, all] = dims(qkv);
        let width = all / 3 / self.heads;
        let strides = [length * all, width, all, 1].map(usize::cast_signed);
        [0, 1, 2].map(|part| {
            let start = qkv.layout().start_offset() + part * (all / 3);
            let layout = Layout::new(Shape::from([batch, self.heads, length, width]), strides.to_vec(), start);
            qkv.clone().with_layout(layout)
        })
    }
}

impl Operation<1> for SelfAttention {
    fn forward(&self, [qkv]: [FlexTensor; 1], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let [batch, length, all] = dims(&qkv);
        let inputs = self.views(&qkv.to_contiguous());
        let (y, weights) = attend(&inputs, &self.attention);
        let y = tensor(y, Shape::from([batch, length, all / 3]));
        let rows = y.clone().with_layout(turned(dims(&inputs[0])));
        let [query, key, value] = inputs;
        (y, vec![query, key, value, rows, weights])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [batch, heads, length, width] = dims(&kept[0]);
        let gradient = gradient.to_contiguous();
        let start = gradient.layout().start_offset();
        assert_eq!(start, 0, "a contiguous copy starts at its first float");
        let gradient = gradient.with_layout(turned([batch, heads, length, width]));
        // As rows of a head's query, key and value in turn.
        let mut out = Blocks::new(batch * length * 3, heads * width);
        attend_back(&kept, gradient, &self.attention, out.cut(length * 3, width), |block| {
            let mut parts = [vec![], vec![], vec![]];
            block.take().into_iter().enumerate().for_each(|(index, row)| parts[index % 3].push(row));
            parts
        });
        [wanted[0].then(|| tensor(out.filled(), Shape::from([batch, length, 3 * heads * width])))]
    }
}

/// The layout of `[batch, heads, length, width]` whose floats lie as `[batch, length, heads, width]`.
fn turned([batch, heads, length, width]: [usize; 4]) -> Layout {
    let strides = [length * heads * width, width, heads * width, 1].map(usize::cast_signed);
    Layout::new(Shape::from([batch, heads, length, width]), strides.to_vec(), 0)
}

/// The same `[batch, heads, length, width]`, so that the floats of a row lie side by side.
fn in_rows(heads: FlexTensor) -> FlexTensor {
    let strides = heads.layout().strides();
    if strides[3] == 1 && strides.iter().all(|&stride| stride >= 0) { heads } else { heads.to_contiguous() }
}

/// One head of one sample.
fn head(heads: &FlexTensor, sample: usize, head: usize) -> Matrix<'_> {
    let [.., length, width] = dims::<4>(heads);
    let step = |axis: usize| heads.layout().strides()[axis].unsigned_abs();
    Matrix {
        floats: heads.storage::<f32>(),
        start: heads.layout().start_offset() + sample * step(0) + head * step(1),
        rows: length,
        columns: width,
        steps: [step(2), 1],
    }
}

fn head_of<'a>(
    inputs: &'a [FlexTensor],
    attention: &Attention,
    mask: Option<&'a FlexTensor>,
    index: usize,
) -> Head<'a> {
    let [_, heads, _, width] = dims::<4>(&inputs[0]);
    let (sample, number) = (index / heads, index % heads);
    let [query, key, value] = [0, 1, 2].map(|part: usize| head(&inputs[part], sample, number));
    let mask = mask.map(|mask| {
        let step = |axis: usize| {
            if mask.layout().shape()[axis] == 1 { 0 } else { mask.layout().strides()[axis].unsigned_abs() }
        };
        let start = mask.layout().start_offset() + sample * step(0) + number * step(1);
        Mask { hidden: mask.storage::<u8>(), start, steps: [step(2), step(3)] }
    });
    #[expect(clippy::cast_possible_truncation, reason = "a scale needs no more digits")]
    let scale = (1.0 / (width as f64).sqrt()) as f32;
    Head { query, key, value, scale, causal: attention.causal, mask }
}

impl Attention {
    /// The mask, if it hides anything.
    fn mask(&self) -> Option<FlexTensor> {
        let mask = self.mask.clone();
        let mask = if mask.layout().strides().iter().all(|&stride| stride >= 0) { mask } else { mask.to_contiguous() };
        (mask.layout().num_elements() > 1 || mask.storage::<u8>()[mask.layout().start_offset()] != 0).then_some(mask)
    }
}

/// `[batch, queries, heads, width]` and the logarithms of the sums of exponentials.
fn attend(inputs: &[FlexTensor; 3], attention: &Attention) -> (Vec<f32>, FlexTensor) {
    let isa = Isa::detect();
    let [batch, heads, queries, _] = dims(&inputs[0]);
    let [.., width] = dims::<4>(&inputs[2]);
    let mask = attention.mask();
    let mut out = Blocks::new(batch * queries, heads * width);
    let mut weights = vec![0.0; batch * heads * queries];
    let blocks = out.cut(queries, width);
    blocks.into_par_iter().zip(weights.par_chunks_mut(queries)).enumerate().for_each(|(index, (block, weight))| {
        let head = head_of(inputs, attention, mask.as_ref(), index);
        isa.run(Attend { head, out: &mut block.take(), weight });
    });
    (out.filled(), tensor(weights, Shape::from([batch, heads, queries])))
}

/// Fills the parts of each head, of which `open` gives the rows of queries, keys and values.
fn attend_back<'a, T: Send>(
    kept: &[FlexTensor],
    gradient: FlexTensor,
    attention: &Attention,
    parts: Vec<T>,
    open: impl Fn(T) -> [Vec<&'a mut [f32]>; 3] + Sync,
) {
    let isa = Isa::detect();
    let [_, heads, queries, _] = dims(&kept[0]);
    let (gradient, mask) = (in_rows(gradient), attention.mask());
    let weights = kept[4].storage::<f32>();
    parts.into_par_iter().enumerate().for_each(|(index, part)| {
        let [mut query, mut key, mut value] = open(part);
        isa.run(AttendBack {
            head: head_of(kept, attention, mask.as_ref(), index),
            out: head(&kept[3], index / heads, index % heads),
            weight: &weights[index * queries..][..queries],
            gradient: head(&gradient, index / heads, index % heads),
            to: [&mut query, &mut key, &mut value],
        });
    });
}

/// Softmax cross-entropy of each row of `[rows, classes]` with soft targets.
#[derive(Clone, Debug)]
pub(crate) struct CrossEntropy;

impl Operation<2> for CrossEntropy {
    fn forward(&self, [scores, targets]: [FlexTensor; 2], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let [rows, classes] = dims(&scores);
        let losses = entropy::losses(Isa::detect(), classes, &floats(&scores), &floats(&targets));
        (tensor(losses, Shape::from([rows])), vec![scores, targets])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 2]) -> [Option<FlexTensor>; 2] {
        let [rows, classes] = dims(&kept[0]);
        let [scores, targets] = [&kept[0], &kept[1]].map(floats);
        let found = entropy::gradients(Isa::detect(), classes, [&scores, &targets], &floats(&gradient), wanted);
        found.map(|found| found.map(|floats| tensor(floats, Shape::from([rows, classes]))))
    }
}

/// Softmax cross-entropy of each row of `[rows, classes]` of which one class is right.
#[derive(Clone, Debug)]
pub(crate) struct ClassEntropy {
    /// Its number, `[rows]`.
    pub(crate) right: FlexTensor,
}

impl Operation<1> for ClassEntropy {
    fn forward(&self, [scores]: [FlexTensor; 1], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        let [rows, classes] = dims(&scores);
        let right = numbers(&self.right, classes, "class_entropy");
        assert_eq!(right.len(), rows, "class_entropy: a class a row");
        let losses = entropy::class_losses(Isa::detect(), classes, &floats(&scores), &right);
        (tensor(losses, Shape::from([rows])), vec![scores])
    }

    fn gradients(self, kept: Vec<FlexTensor>, gradient: FlexTensor, wanted: [bool; 1]) -> [Option<FlexTensor>; 1] {
        let [rows, classes] = dims(&kept[0]);
        let right = numbers(&self.right, classes, "class_entropy");
        let (scores, upstream) = (floats(&kept[0]), floats(&gradient));
        [wanted[0].then(|| {
            let found = entropy::class_gradients(Isa::detect(), classes, &scores, &right, &upstream);
            tensor(found, Shape::from([rows, classes]))
        })]
    }
}

/// Some floats become zero.
#[derive(Clone, Debug)]
pub(crate) struct Dropout {
    pub(crate) dropped: Dropped,
}

impl Operation<1> for Dropout {
    fn forward(&self, [x]: [FlexTensor; 1], _: bool) -> (FlexTensor, Vec<FlexTensor>) {
        (tensor(self.dropped.apply(&floats(&x)), x.layout().shape().clone()), vec![])
    }

    fn gradients(self, _: Vec<FlexTensor>, gradient: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
        [Some(tensor(self.dropped.apply(&floats(&gradient)), gradient.layout().shape().clone()))]
    }
}

fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    std::array::from_fn(|axis| tensor.layout().shape()[axis])
}

/// Rows of `columns` floats.
fn matrix(floats: &[f32], columns: usize) -> Matrix<'_> {
    Matrix::new(floats, floats.len() / columns, columns)
}

/// The shape of `x` but for its last axis.
fn with_last(x: &FlexTensor, last: usize) -> Shape {
    let mut shape: Vec<usize> = x.layout().shape().iter().copied().collect();
    if let Some(size) = shape.last_mut() {
        *size = last;
    }
    Shape::from(shape)
}

/// A contiguous tensor.
pub(crate) fn tensor(floats: Vec<f32>, shape: Shape) -> FlexTensor {
    assert_eq!(floats.len(), shape.num_elements(), "{shape:?}");
    FlexTensor::new(Bytes::from_elems(floats), Layout::contiguous(shape), DType::F32)
}
