//! The Fréchet distance of two clouds of points, as if both were normal: how far made samples are from true ones (Dowson & Landau
//! 1982; of features of images: Heusel et al. 2017). It does not know what the points are.

/// The middle of a cloud of points, and how they spread around it.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    count: u64,
    mean: Vec<f64>,
    /// Sums of products of distances from the mean, `[width, width]`.
    products: Vec<f64>,
}

impl Moments {
    /// Of no point yet, in a space of so many dimensions.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { count: 0, mean: vec![0.0; width], products: vec![0.0; width * width] }
    }

    /// Takes in a point (Welford 1962).
    ///
    /// # Panics
    /// When the point is of another space.
    pub fn add(&mut self, point: &[f32]) {
        let width = self.mean.len();
        assert_eq!(point.len(), width, "points of one space");
        self.count += 1;
        let before: Vec<f64> = point.iter().zip(&self.mean).map(|(&x, mean)| f64::from(x) - mean).collect();
        let share = 1.0 / self.count as f64;
        self.mean.iter_mut().zip(&before).for_each(|(mean, distance)| *mean += distance * share);
        let after: Vec<f64> = point.iter().zip(&self.mean).map(|(&x, mean)| f64::from(x) - mean).collect();
        for (row, &left) in self.products.chunks_exact_mut(width).zip(&before) {
            row.iter_mut().zip(&after).for_each(|(product, &right)| *product += left * right);
        }
    }

    /// Points so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The covariance, unbiased, with both halves alike.
    fn covariance(&self) -> Square {
        let width = self.mean.len();
        let share = 1.0 / (self.count as f64 - 1.0);
        let at = |row: usize, column: usize| self.products[row * width + column];
        Square::of(width, |row, column| 0.5 * share * (at(row, column) + at(column, row)))
    }
}

/// `|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))`: 0 for one cloud and itself; not a number of fewer than two points.
///
/// # Panics
/// When the clouds are of different spaces.
#[must_use]
pub fn frechet_distance(one: &Moments, other: &Moments) -> f64 {
    assert_eq!(one.mean.len(), other.mean.len(), "clouds of one space");
    if one.count.min(other.count) < 2 {
        return f64::NAN;
    }
    let between: f64 = one.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
    let [first, second] = [one.covariance(), other.covariance()];
    // (C1 C2) has the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2).
    let root = first.root();
    let product = root.times(&second).times(&root).symmetric();
    let overlap: f64 = product.eigen().values.iter().map(|value| value.max(0.0).sqrt()).sum();
    (between + first.trace() + second.trace() - 2.0 * overlap).max(0.0)
}

/// A square matrix, row by row.
#[derive(Clone, Debug)]
struct Square {
    width: usize,
    values: Vec<f64>,
}

/// The eigenvalues of a symmetric matrix, and its eigenvectors as columns.
struct Eigen {
    values: Vec<f64>,
    vectors: Square,
}

/// Sweeps over all pairs: the convergence is quadratic, and after some eight there is nothing left.
const SWEEPS: usize = 60;

impl Square {
    fn of(width: usize, at: impl Fn(usize, usize) -> f64) -> Self {
        let values = (0..width * width).map(|place| at(place / width, place % width)).collect();
        Self { width, values }
    }

    fn at(&self, row: usize, column: usize) -> f64 {
        self.values[row * self.width + column]
    }

    fn trace(&self) -> f64 {
        (0..self.width).map(|at| self.at(at, at)).sum()
    }

    fn times(&self, other: &Self) -> Self {
        let width = self.width;
        let mut values = vec![0.0; width * width];
        for (row, sums) in values.chunks_exact_mut(width.max(1)).enumerate() {
            for (between, terms) in other.values.chunks_exact(width.max(1)).enumerate() {
                let factor = self.at(row, between);
                sums.iter_mut().zip(terms).for_each(|(sum, term)| *sum += factor * term);
            }
        }
        Self { width, values }
    }

    /// The mean of both halves: what rounding has made different.
    fn symmetric(&self) -> Self {
        Self::of(self.width, |row, column| 0.5 * (self.at(row, column) + self.at(column, row)))
    }

    /// The root of a matrix without negative eigenvalues; those of rounding count as 0.
    fn root(&self) -> Self {
        let Eigen { values, vectors } = self.eigen();
        let roots: Vec<f64> = values.iter().map(|value| value.max(0.0).sqrt()).collect();
        let scaled = Self::of(self.width, |row, column| vectors.at(row, column) * roots[column]);
        let turned = Self::of(self.width, |row, column| vectors.at(column, row));
        scaled.times(&turned)
    }

    /// By rotations that make one pair of elements zero after another (Jacobi 1846).
    fn eigen(&self) -> Eigen {
        let width = self.width;
        let mut matrix = self.clone();
        let mut vectors = Self::of(width, |row, column| if row == column { 1.0 } else { 0.0 });
        let total: f64 = matrix.values.iter().map(|value| value * value).sum();
        for _ in 0..SWEEPS {
            let beside: f64 = (0..width)
                .flat_map(|row| (0..width).map(move |column| (row, column)))
                .filter(|(row, column)| row != column)
                .map(|(row, column)| matrix.at(row, column).powi(2))
                .sum();
            if beside <= f64::EPSILON * f64::EPSILON * total {
                break;
            }
            for first in 0..width {
                for second in first + 1..width {
                    rotate(&mut matrix, &mut vectors, first, second);
                }
            }
        }
        Eigen { values: (0..width).map(|at| matrix.at(at, at)).collect(), vectors }
    }
}

/// Makes the elements of this pair zero.
fn rotate(matrix: &mut Square, vectors: &mut Square, first: usize, second: usize) {
    let width = matrix.width;
    let beside = matrix.at(first, second);
    if beside == 0.0 {
        return;
    }
    let theta = (matrix.at(second, second) - matrix.at(first, first)) / (2.0 * beside);
    let tangent = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = tangent * cosine;
    let turn = |values: &mut [f64], left: usize, right: usize| {
        let (a, b) = (values[left], values[right]);
        values[left] = cosine * a - sine * b;
        values[right] = sine * a + cosine * b;
    };
    for at in 0..width {
        turn(&mut matrix.values, at * width + first, at * width + second);
    }
    for at in 0..width {
        turn(&mut matrix.values, first * width + at, second * width + at);
        turn(&mut vectors.values, at * width + first, at * width + second);
    }
}
