//! Queries of both doors into batches, and their answers back. It does not know threads or queues.
//!
//! A batch has inputs of one length only, so that nothing is filled up and an answer has the same bits whatever it was
//! answered with.

use std::{
    borrow::Cow,
    time::{Duration, Instant},
};

use homeostat_task::{InputError, Task, TensorDoor, TensorRequest};
use rayon::prelude::*;

use crate::{Phases, Predictor, Query, Reply, Served, predictor::to_json};

/// Answers queries together, in batches of at most so many rows.
pub(crate) fn serve<T: Task>(predictor: &Predictor<T>, queries: &[Query], largest_batch: usize) -> Served {
    let mut work = Work {
        predictor,
        largest_batch: largest_batch.max(1),
        answers: queries.iter().map(|_| Ok(Vec::new())).collect(),
        phases: Phases::default(),
    };
    work.raw(queries);
    if let Some(door) = predictor.task.tensor_door() {
        work.tensors(door, queries);
    }
    work.replies(queries)
}

/// The answers to a query so far, each with its row; or why there is none.
type Answers<T> = Result<Vec<(usize, <T as Task>::Response)>, InputError>;

struct Work<'a, T: Task> {
    predictor: &'a Predictor<T>,
    largest_batch: usize,
    /// Of each query.
    answers: Vec<Answers<T>>,
    phases: Phases,
}

/// A row of a query.
#[derive(Clone, Copy)]
struct Row {
    query: usize,
    row: usize,
}

/// Rows of a query that is asked through the tensor door.
struct Piece<'a> {
    query: usize,
    first: usize,
    request: Cow<'a, TensorRequest>,
}

impl<T: Task> Work<'_, T> {
    /// Reads and prepares what is raw, and answers it length by length.
    fn raw(&mut self, queries: &[Query]) {
        let begun = Instant::now();
        let Predictor { task, device, .. } = self.predictor;
        let items: Vec<(Row, &[u8])> = queries
            .iter()
            .enumerate()
            .filter_map(|(query, asked)| match asked {
                Query::Raw(items) => {
                    Some(items.iter().enumerate().map(move |(row, item)| (Row { query, row }, &item[..])))
                }
                Query::Tensors(_) => None,
            })
            .flatten()
            .collect();
        let prepare = |&(row, bytes): &(Row, &[u8])| (row, task.read(bytes).and_then(|sample| task.prepare(sample)));
        let prepared: Vec<_> = match items.len() {
            0 => return,
            1 => items.iter().map(prepare).collect(),
            _ => items.par_iter().map(prepare).collect(),
        };
        let mut inputs: Vec<(usize, Row, T::Input)> = Vec::with_capacity(prepared.len());
        for (row, input) in prepared {
            match input {
                Ok(input) => inputs.push((task.length(&input), row, input)),
                Err(error) => self.refuse(row, queries[row.query].rows(), error),
            }
        }
        inputs.retain(|(_, row, _)| self.answers[row.query].is_ok());
        inputs.sort_by_key(|&(length, _, _)| length);
        self.phases.prepare += begun.elapsed();
        let lengths: Vec<usize> = inputs.iter().map(|&(length, _, _)| length).collect();
        let (rows, inputs): (Vec<Row>, Vec<T::Input>) = inputs.into_iter().map(|(_, row, input)| (row, input)).unzip();
        let mut at = 0;
        for same in lengths.chunk_by(|a, b| a == b) {
            for count in chunks(same.len(), self.largest_batch) {
                let range = at..at + count;
                let batch = timed(&mut self.phases.prepare, || task.collate(&inputs[range.clone()], device));
                self.compute(batch, rows[range].iter().copied());
                at += count;
            }
        }
    }

    /// Checks what is prepared, and answers it shape by shape.
    fn tensors(&mut self, door: &dyn TensorDoor<T>, queries: &[Query]) {
        let begun = Instant::now();
        let mut pieces: Vec<Piece<'_>> = Vec::new();
        for (query, asked) in queries.iter().enumerate() {
            let Query::Tensors(request) = asked else { continue };
            if let Err(error) = door.check(request) {
                self.answers[query] = Err(error);
                continue;
            }
            let rows = request.rows();
            if rows <= self.largest_batch {
                pieces.push(Piece { query, first: 0, request: Cow::Borrowed(request) });
                continue;
            }
            let mut first = 0;
            for count in chunks(rows, self.largest_batch) {
                let request = Cow::Owned(request.slice(first..first + count));
                pieces.push(Piece { query, first, request });
                first += count;
            }
        }
        pieces.sort_by(|a, b| a.request.row_shape().cmp(b.request.row_shape()));
        self.phases.prepare += begun.elapsed();
        for same in pieces.chunk_by(|a, b| a.request.row_shape() == b.request.row_shape()) {
            let mut rest = same;
            while !rest.is_empty() {
                let (batch, later) = rest.split_at(self.fitting(rest));
                self.batch(door, batch);
                rest = later;
            }
        }
    }

    /// How many of these pieces fit into one batch; at least one.
    fn fitting(&self, pieces: &[Piece<'_>]) -> usize {
        let mut rows = 0;
        let fits = |piece: &&Piece<'_>| {
            rows += piece.request.rows();
            rows <= self.largest_batch
        };
        pieces.iter().take_while(fits).count().max(1)
    }

    fn batch(&mut self, door: &dyn TensorDoor<T>, pieces: &[Piece<'_>]) {
        let device = &self.predictor.device;
        let requests: Vec<&TensorRequest> = pieces.iter().map(|piece| piece.request.as_ref()).collect();
        let batch = timed(&mut self.phases.prepare, || door.collate(&requests, device));
        let rows = pieces
            .iter()
            .flat_map(|piece| (0..piece.request.rows()).map(|row| Row { query: piece.query, row: piece.first + row }));
        self.compute(batch, rows);
    }

    fn compute(&mut self, batch: T::Batch, rows: impl Iterator<Item = Row>) {
        let Predictor { task, model, .. } = self.predictor;
        let responses = timed(&mut self.phases.compute, || task.respond(model, batch));
        let mut responses = responses.into_iter();
        for Row { query, row } in rows {
            let Some(response) = responses.next() else { panic!("an answer an input") };
            if let Ok(answers) = &mut self.answers[query] {
                answers.push((row, response));
            }
        }
        assert!(responses.next().is_none(), "an answer an input");
    }

    /// The first fault of a query is its answer.
    fn refuse(&mut self, Row { query, row }: Row, of: usize, error: InputError) {
        if self.answers[query].is_ok() {
            let reason = if of == 1 { error.reason } else { format!("element {row}: {}", error.reason) };
            self.answers[query] = Err(InputError::new(reason));
        }
    }

    fn replies(mut self, queries: &[Query]) -> Served {
        let begun = Instant::now();
        let door = self.predictor.task.tensor_door();
        let reply = |(answers, query): (Answers<T>, &Query)| {
            let mut answers = answers?;
            answers.sort_by_key(|&(row, _)| row);
            let responses: Vec<T::Response> = answers.into_iter().map(|(_, response)| response).collect();
            if responses.len() < query.rows() {
                return Err(InputError::new("the network takes no tensors: send a file or a text"));
            }
            match door {
                Some(door) => Ok(Reply::Tensors(door.outputs(&responses))),
                None => Ok(Reply::Json(responses.into_iter().map(to_json).collect::<Result<_, _>>()?)),
            }
        };
        let answers = std::mem::take(&mut self.answers);
        let replies = answers.into_iter().zip(queries).map(reply).collect();
        self.phases.respond += begun.elapsed();
        Served { replies, phases: self.phases }
    }
}

/// Parts of at most so many, as equal as they can be.
fn chunks(rows: usize, most: usize) -> impl Iterator<Item = usize> {
    let parts = rows.div_ceil(most);
    (0..parts).map(move |part| (part + 1) * rows / parts - part * rows / parts)
}

fn timed<R>(total: &mut Duration, work: impl FnOnce() -> R) -> R {
    let begun = Instant::now();
    let result = work();
    *total += begun.elapsed();
    result
}
