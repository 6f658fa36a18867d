//! Decodes every image once, on several threads: what can't be decoded goes to quarantine, of the
//! rest is noted what the report and the search for near duplicates need.

use super::ImageExample;
use super::store::{At, Images};
use crate::quarantine::{Reason, Usable, Ward};
use crate::sample::{Key, key_of};
use crate::{Progress, TOLD_BYTES};
use finetuned_images::{Colour, Facts, Format, Look, Pixels};
use finetuned_job::data::FileReport;
use finetuned_job::event::Phase;
use finetuned_job::outcome::Failure;
use finetuned_job::scores::Split;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

/// A usable example, and what was seen of it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) example: ImageExample,
    pub(super) seen: Seen,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) format: Format,
    pub(super) colour: Colour,
    pub(super) look: Look,
    /// Of red, green and blue, and of their squares; 0 to 1.
    pub(super) mean: [f32; 3],
    pub(super) square: [f32; 3],
    /// One colour throughout.
    pub(super) blank: bool,
}

type Verdict = Usable<(Key, Seen)>;

/// In the order of `examples`, whatever order they were finished in. Bytes and rows of `files` are
/// filled in.
pub(super) fn decode(
    examples: Vec<(ImageExample, Option<Split>)>,
    images: &Images,
    files: &mut [FileReport],
    ward: &mut Ward,
    threads: usize,
    progress: &mut Progress<'_>,
) -> Result<Vec<(Judged, Option<Split>)>, Failure> {
    let total: u64 = examples.iter().map(|it| images.len(&it.0.at)).sum();
    let (mut done, mut told_at) = (0, 0);
    let mut verdicts: Vec<Option<Result<(Key, Seen), Reason>>> =
        examples.iter().map(|_| None).collect();
    on_threads(
        examples.len(),
        threads,
        &|idx| look(images, &examples[idx].0.at),
        &mut |idx, verdict: Verdict| {
            done += images.len(&examples[idx].0.at);
            if told_at + TOLD_BYTES <= done {
                told_at = done;
                progress(Phase::Reading, done, Some(total));
            }
            verdicts[idx] = Some(verdict?);
            Ok(())
        },
    )?;
    let mut judged = Vec::with_capacity(examples.len());
    for ((mut example, split), verdict) in examples.into_iter().zip(verdicts) {
        match verdict {
            Some(Ok((key, seen))) => {
                let file = &mut files[example.file as usize];
                file.rows += 1;
                if matches!(example.at, At::File(_)) && file.format == "image_folders" {
                    file.bytes += seen.bytes;
                }
                example.key = key;
                judged.push((Judged { example, seen }, split));
            }
            Some(Err(reason)) => {
                let (file, line) = example.place(files);
                ward.admit(&file, line, &reason)?;
            }
            None => {}
        }
    }
    Ok(judged)
}

/// Calls `work` for each of 0..n on `threads` threads, and `take` on this one, as the results come;
/// ends with the first error of `take`.
pub(super) fn on_threads<R: Send>(
    n: usize,
    threads: usize,
    work: &(dyn Fn(usize) -> R + Sync),
    take: &mut dyn FnMut(usize, R) -> Result<(), Failure>,
) -> Result<(), Failure> {
    /// Results that wait to be taken, for each thread.
    const WAITING_MAX: usize = 16;
    let threads = threads.clamp(1, n.max(1));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let (send, receive) = mpsc::sync_channel(threads * WAITING_MAX);
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            scope.spawn(move || {
                loop {
                    let idx = next.fetch_add(1, Ordering::Relaxed);
                    // The receiver goes away at the first error.
                    if n <= idx || send.send((idx, work(idx))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(send);
        receive.into_iter().try_for_each(|(idx, result)| take(idx, result))
    })
}

fn look(images: &Images, at: &At) -> Verdict {
    let bytes = match images.read(at)? {
        Ok(bytes) => bytes,
        Err(reason) => return Ok(Err(reason)),
    };
    let decoded = guarded(|| finetuned_images::decode(&bytes).map_err(Reason::ImageBroken));
    Ok(decoded.and_then(|(facts, pixels)| {
        Ok((key_of(&bytes), seen(bytes.len() as u64, facts, &pixels)?))
    }))
}

fn seen(bytes: u64, facts: Facts, pixels: &Pixels) -> Result<Seen, Reason> {
    let look = guarded(|| Ok(Look::of(pixels)))?;
    let (sum, squares) = sums(pixels.data());
    let (rgb, _) = pixels.data().as_chunks::<3>();
    let n = rgb.len() as f64;
    Ok(Seen {
        bytes,
        width: facts.width,
        height: facts.height,
        format: facts.format,
        colour: facts.colour,
        look,
        mean: sum.map(|it| (it as f64 / n / 255.0) as f32),
        square: squares.map(|it| (it as f64 / n / (255.0 * 255.0)) as f32),
        blank: rgb.iter().all(|it| it == &rgb[0]),
    })
}

/// Of red, green and blue, and of their squares; sixteen pixels at a time, which a processor adds
/// at once.
fn sums(values: &[u8]) -> ([u64; 3], [u64; 3]) {
    const LANES: usize = 16 * 3;
    /// The sum of so many squares fits into 32 bits: nothing below wraps, and checking it would
    /// cost all that is gained.
    const CHUNKS_MAX: usize = (u32::MAX / (255 * 255)) as usize;
    let (mut sum, mut squares) = ([0_u64; 3], [0_u64; 3]);
    for part in values.chunks(LANES * CHUNKS_MAX) {
        let (chunks, rest) = part.as_chunks::<LANES>();
        let (mut sum_lanes, mut square_lanes) = ([0_u32; LANES], [0_u32; LANES]);
        for chunk in chunks {
            for lane in 0..LANES {
                let value = u16::from(chunk[lane]);
                sum_lanes[lane] = sum_lanes[lane].wrapping_add(value.into());
                square_lanes[lane] = square_lanes[lane].wrapping_add((value * value).into());
            }
        }
        for lane in 0..LANES {
            sum[lane % 3] += u64::from(sum_lanes[lane]);
            squares[lane % 3] += u64::from(square_lanes[lane]);
        }
        for (at, value) in rest.iter().enumerate() {
            sum[at % 3] += u64::from(*value);
            squares[at % 3] += u64::from(*value).pow(2);
        }
    }
    (sum, squares)
}

/// A decoder that panics on a stranger's file costs that file.
fn guarded<T>(work: impl FnOnce() -> Result<T, Reason>) -> Result<T, Reason> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or(Err(Reason::ImagePanicked))
}
