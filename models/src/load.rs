//! Decides which tensor of a checkpoint becomes which tensor of a model, and says what happened to
//! each.
//!
//! A model asks for its tensors by name and shape while it is built. Everything that does not fit
//! is collected first and reported at once. Only a head may be initialised; which names form it,
//! the model says by [`Part`].

use crate::adapter::is_of_adapter;
use crate::error::{ModelError, ShapeDifference};
use crate::fill;
use crate::model::{BuildOptions, HeadKind, LinearSlot, Parts};
use crate::peft::AdapterFolder;
use crate::storage::{self, Storage};
use crate::weights::{self, WeightsFile};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Div;
use std::path::Path;
use tch::{Device, Kind, TchError, Tensor};

/// How the checkpoint's tensors met the model's. Names are the model's, those of `surplus` the
/// checkpoint's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// Taken from the checkpoint.
    pub loaded: Vec<String>,
    /// In the head, not in the checkpoint: initialised. Also batch norm's count of batches, which
    /// old checkpoints lack and nothing is computed from.
    pub missing: Vec<String>,
    /// In the checkpoint, not in the model.
    pub surplus: Vec<String>,
    /// The checkpoint has a head of its own, but for another task: initialised. The shapes may be
    /// equal.
    pub reinitialised: Vec<ShapeDifference>,
    /// Stored in fewer bits than the checkpoint has.
    pub rounded: Vec<String>,
}

impl LoadReport {
    /// Every tensor that holds nothing of the checkpoint.
    pub fn initialised(&self) -> impl Iterator<Item = &str> {
        let replaced = self.reinitialised.iter().map(|it| &it.name);
        self.missing.iter().chain(replaced).map(String::as_str)
    }
}

/// The stage of a model that a tensor belongs to, from the bottom up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Embeddings,
    Layer(usize),
    Head,
}

/// What a tensor holds where a head is new, as transformers has it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fill {
    /// Normal with the config's `initializer_range`.
    Random,
    Zero,
    One,
}

/// Every tensor of a checkpoint by the name that a model has for it.
pub(crate) struct Catalogue<'a> {
    folder: &'a Path,
    /// Name in the model -> file, name in the file.
    places: BTreeMap<String, (&'a WeightsFile, String)>,
}

impl<'a> Catalogue<'a> {
    /// `prefix` is what the names of a body begin with in the class that has a head (`bert`);
    /// `body` are the first parts of the names in a checkpoint of the body alone.
    pub(crate) fn new(
        folder: &'a Path,
        files: &'a [WeightsFile],
        prefix: &str,
        body: &[&str],
    ) -> Result<Catalogue<'a>, ModelError> {
        let mut places: BTreeMap<String, (&WeightsFile, String)> = BTreeMap::new();
        for file in files {
            for stored in file.names() {
                let name = modern(&stored, prefix, body);
                if let Some((_, first)) = places.insert(name.clone(), (file, stored.clone())) {
                    return Err(ModelError::Twice {
                        folder: folder.to_path_buf(),
                        name,
                        first,
                        second: stored,
                    });
                }
            }
        }
        Ok(Catalogue { folder, places })
    }

    /// With the modules that an adapter keeps whole in the place of the base's.
    pub(crate) fn with(mut self, adapter: &'a AdapterFolder) -> Catalogue<'a> {
        let whole = adapter.names().filter(|it| !is_of_adapter(&it.0));
        self.places.extend(whole.map(|(name, stored)| (name, (&adapter.file, stored))));
        self
    }
}

/// The name that transformers gives today to a tensor: with the body's prefix, and `weight` and
/// `bias` for what TensorFlow's norms called `gamma` and `beta`.
fn modern(stored: &str, prefix: &str, body: &[&str]) -> String {
    /// Other things are called gamma too: ConvNeXt's layer scale.
    const OLD_NORM: &str = "LayerNorm";
    let name = match stored.rsplit_once('.') {
        Some((start, "gamma")) if start.ends_with(OLD_NORM) => format!("{start}.weight"),
        Some((start, "beta")) if start.ends_with(OLD_NORM) => format!("{start}.bias"),
        _ => stored.to_string(),
    };
    match name.split_once('.') {
        Some((first, _)) if body.contains(&first) => format!("{prefix}.{name}"),
        _ => name,
    }
}

/// What a head that the checkpoint has is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StoredHead {
    /// It is the model's, and nothing of it may be missing.
    Required,
    /// It was pretrained for what the model does: taken where it is there.
    Taken,
    /// It is another task's.
    Replaced,
}

/// Hands out tensors while a model is built, and writes the report.
pub(crate) struct Loader<'a> {
    catalogue: Catalogue<'a>,
    prefix: &'a str,
    /// First parts of names of the head that belong to the body as far as loading goes.
    with_body: &'a [&'a str],
    stored_head: StoredHead,
    device: Device,
    dtype: Kind,
    storage: Storage,
    seed: u64,
    initializer_range: f64,
    /// A layer above those of the checkpoint, which the model fills itself.
    added_layer: Option<usize>,
    found: RefCell<Found>,
}

#[derive(Default)]
struct Found {
    tensors: Vec<(String, Tensor)>,
    parts: Parts,
    linears: BTreeMap<String, LinearSlot>,
    buffers: Vec<(Part, String)>,
    report: LoadReport,
    /// Missing where nothing may be.
    absent: Vec<String>,
    misfits: Vec<ShapeDifference>,
}

/// What is known when a model has been built.
pub(crate) struct Loaded {
    pub tensors: Vec<(String, Tensor)>,
    pub parts: Parts,
    pub linears: BTreeMap<String, LinearSlot>,
    pub report: LoadReport,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(
        catalogue: Catalogue<'a>,
        prefix: &'a str,
        initializer_range: f64,
        options: &BuildOptions,
    ) -> Loader<'a> {
        let BuildOptions { head, device, dtype, storage, seed, .. } = *options;
        let stored_head = match head {
            HeadKind::Keep => StoredHead::Required,
            HeadKind::Vocabulary => StoredHead::Taken,
            HeadKind::Classes(_)
            | HeadKind::Linear(..)
            | HeadKind::PerToken(_)
            | HeadKind::None(_) => StoredHead::Replaced,
        };
        Loader {
            catalogue,
            prefix,
            with_body: &[],
            stored_head,
            device,
            dtype,
            storage,
            seed,
            initializer_range,
            added_layer: None,
            found: RefCell::default(),
        }
    }

    /// With a layer of this number, which no checkpoint has.
    pub(crate) fn with_layer(self, number: Option<usize>) -> Loader<'a> {
        Loader { added_layer: number, ..self }
    }

    /// Where parts of a head were pretrained with the body.
    pub(crate) fn with_body(self, with_body: &'a [&'a str]) -> Loader<'a> {
        Loader { with_body, ..self }
    }

    pub(crate) fn added_layer(&self) -> Option<usize> {
        self.added_layer
    }

    /// The root of the names of one stage.
    pub(crate) fn part(&'a self, part: Part) -> Names<'a> {
        Names { loader: self, part, path: String::new() }
    }

    /// # Errors
    /// Tensors outside of the head are missing, or shapes differ where they must not.
    pub(crate) fn finish(self) -> Result<Loaded, ModelError> {
        let Found { tensors, mut parts, linears, buffers, mut report, absent, misfits } =
            self.found.into_inner();
        let folder = self.catalogue.folder.to_path_buf();
        if !absent.is_empty() {
            return Err(ModelError::Missing { folder, names: absent });
        }
        if !misfits.is_empty() {
            return Err(ModelError::Shapes { folder, differences: misfits });
        }
        parts.buffers = vec![Vec::new(); parts.layers.len() + 2];
        for (part, name) in buffers {
            let stage = match part {
                Part::Embeddings => 0,
                Part::Layer(depth) => 1 + depth,
                Part::Head => 1 + parts.layers.len(),
            };
            parts.buffers[stage].push(name);
        }
        let again = parts.tied.iter().map(|it| it.1.as_str());
        let wanted: BTreeSet<&str> = tensors.iter().map(|it| it.0.as_str()).chain(again).collect();
        report.surplus = self
            .catalogue
            .places
            .iter()
            .filter(|it| !wanted.contains(it.0.as_str()))
            .map(|it| it.1.1.clone())
            .collect();
        report.surplus.sort();
        Ok(Loaded { tensors, parts, linears, report })
    }

    /// A parameter, listed in its part.
    fn parameter(&self, wanted: &Wanted) -> Result<Tensor, ModelError> {
        let Wanted { part, name, .. } = *wanted;
        let tensor = self.take(wanted)?;
        let mut found = self.found.borrow_mut();
        let parts = &mut found.parts;
        let names = match part {
            Part::Embeddings => &mut parts.embeddings,
            Part::Layer(depth) => {
                if parts.layers.len() <= depth {
                    parts.layers.resize_with(depth + 1, Vec::new);
                }
                &mut parts.layers[depth]
            }
            Part::Head => &mut parts.head,
        };
        names.push(name.into());
        Ok(tensor)
    }

    fn take(&self, wanted: &Wanted) -> Result<Tensor, ModelError> {
        let Wanted { part, name, shape, .. } = *wanted;
        let mut found = self.found.borrow_mut();
        let in_body = name
            .split_once('.')
            .is_some_and(|it| it.0 == self.prefix || self.with_body.contains(&it.0));
        // A pooler is trained with the body, so it is worth having; what stands outside is another
        // task's.
        let in_head = part == Part::Head;
        let fresh = in_head && !in_body && self.stored_head == StoredHead::Replaced;
        let added = matches!(part, Part::Layer(number) if self.added_layer == Some(number));
        let may_lack =
            in_head && self.stored_head != StoredHead::Required || wanted.optional || added;
        // What fits nowhere is reported at the end; until then nothing of a size that the config
        // alone decides is made.
        let sound = found.absent.is_empty() && found.misfits.is_empty();
        let filled = || if sound { self.filled(wanted) } else { Ok(Tensor::new()) };
        let place = self.catalogue.places.get(name);
        let difference = |(file, stored): &(&WeightsFile, String)| {
            let found = file.info(stored).map(weights::shape).unwrap_or_default();
            ShapeDifference { name: name.into(), found, wanted: shape.to_vec() }
        };
        let tensor = match place {
            None if may_lack => {
                found.report.missing.push(name.into());
                filled()?
            }
            Some(place) if fresh => {
                found.report.reinitialised.push(difference(place));
                filled()?
            }
            Some(place) if fits(&difference(place).found, shape) => {
                found.report.loaded.push(name.into());
                let (tensor, rounded) = self.stored(place, wanted)?;
                found.report.rounded.extend(rounded.then(|| name.into()));
                tensor
            }
            Some(place) => {
                found.misfits.push(difference(place));
                Tensor::new()
            }
            None => {
                found.absent.push(name.into());
                Tensor::new()
            }
        };
        found.tensors.push((name.into(), tensor.shallow_clone()));
        Ok(tensor)
    }

    /// With whether it was rounded to be stored.
    fn stored(
        &self,
        (file, stored): &(&WeightsFile, String),
        wanted: &Wanted,
    ) -> Result<(Tensor, bool), ModelError> {
        let Wanted { shape, kind, .. } = *wanted;
        let tensor = file.tensor(stored)?;
        let usable: &[Kind] =
            if kind == Kind::Float { &[Kind::Float, Kind::Half, Kind::BFloat16] } else { &[kind] };
        if !usable.contains(&tensor.kind()) {
            let found = file.info(stored).map_or(safetensors::Dtype::U8, |it| it.dtype);
            return Err(ModelError::Type {
                path: file.path().to_path_buf(),
                name: stored.clone(),
                found,
            });
        }
        // Adapted in fp32, then rounded.
        let convert = || tensor.f_view(shape)?.f_to_kind(kind)?.f_to(self.device);
        let adapted = convert().and_then(|it| {
            let adapted = match wanted.adapt {
                Some(adapt) => adapt(it)?,
                None => it,
            };
            let adapted = adapted.f_to_kind(self.kind(kind))?;
            let frozen = if wanted.is_matrix { self.storage } else { Storage::Wide };
            storage::stored(adapted, frozen)
        });
        adapted.map_err(|source| ModelError::Tensor { name: stored.clone(), source })
    }

    fn filled(&self, wanted: &Wanted) -> Result<Tensor, ModelError> {
        let Wanted { name, shape, kind, .. } = *wanted;
        let made = match wanted.fill {
            Fill::Random => fill::normal(self.seed, name, shape, self.initializer_range)
                .and_then(|it| it.f_to_kind(self.kind(kind))?.f_to(self.device)),
            Fill::Zero => Tensor::f_zeros(shape, (self.kind(kind), self.device)),
            Fill::One => Tensor::f_ones(shape, (self.kind(kind), self.device)),
        };
        made.map_err(|source| ModelError::Tensor { name: name.into(), source })
    }

    /// What the model has in the place of this kind of number.
    fn kind(&self, stored: Kind) -> Kind {
        if stored == Kind::Float { self.dtype } else { stored }
    }
}

/// What a model asks for.
struct Wanted<'b> {
    part: Part,
    name: &'b str,
    shape: &'b [i64],
    fill: Fill,
    kind: Kind,
    /// May be missing outside of the head too.
    optional: bool,
    /// Nothing of it is read but by products and look-ups.
    is_matrix: bool,
    /// From what is stored to what the model has.
    adapt: Option<&'b Adapt<'b>>,
}

type Adapt<'b> = dyn Fn(Tensor) -> Result<Tensor, TchError> + 'b;

impl<'b> Wanted<'b> {
    fn parameter(part: Part, name: &'b str, shape: &'b [i64], fill: Fill) -> Wanted<'b> {
        let kind = Kind::Float;
        Wanted { part, name, shape, fill, kind, optional: false, is_matrix: false, adapt: None }
    }
}

/// A single number may be stored as a row of one, as in torch.
fn fits(found: &[i64], wanted: &[i64]) -> bool {
    found == wanted || wanted.is_empty() && found == [1]
}

/// A place in a model's tree of names: `&p / "encoder" / "layer"` as in tch.
#[derive(Clone)]
pub(crate) struct Names<'a> {
    loader: &'a Loader<'a>,
    part: Part,
    path: String,
}

impl Names<'_> {
    pub(crate) fn tensor(
        &self,
        name: &str,
        shape: &[i64],
        fill: Fill,
    ) -> Result<Tensor, ModelError> {
        self.loader.parameter(&Wanted::parameter(self.part, &self.full(name), shape, fill))
    }

    /// As [`Names::tensor`]; of a linear map's weight or a table, which may be stored in fewer bits
    /// than it is computed with.
    pub(crate) fn matrix(&self, name: &str, shape: [i64; 2]) -> Result<Tensor, ModelError> {
        let name = self.full(name);
        // A head is given numbers of a probe.
        let is_matrix = self.part != Part::Head;
        let wanted = Wanted::parameter(self.part, &name, &shape, Fill::Random);
        self.loader.parameter(&Wanted { is_matrix, ..wanted })
    }

    /// What the model computes with.
    pub(crate) fn dtype(&self) -> Kind {
        self.loader.dtype
    }

    /// A tensor of this shape in the checkpoint, made by `adapt` to the model's.
    pub(crate) fn adapted_tensor(
        &self,
        name: &str,
        stored: &[i64],
        adapt: &Adapt,
    ) -> Result<Tensor, ModelError> {
        let name = self.full(name);
        self.loader.parameter(&Wanted {
            adapt: Some(adapt),
            ..Wanted::parameter(self.part, &name, stored, Fill::Zero)
        })
    }

    /// The checkpoint's, for a message.
    pub(crate) fn folder(&self) -> &Path {
        self.loader.catalogue.folder
    }

    /// A tensor that no gradient moves, fp32.
    pub(crate) fn buffer(
        &self,
        name: &str,
        shape: &[i64],
        fill: Fill,
    ) -> Result<Tensor, ModelError> {
        self.listed_buffer(name, shape, fill, Kind::Float, false)
    }

    /// A whole number that no gradient moves; 0 where the checkpoint is from before there were
    /// such.
    pub(crate) fn counter(&self, name: &str) -> Result<Tensor, ModelError> {
        self.listed_buffer(name, &[], Fill::Zero, Kind::Int64, true)
    }

    fn listed_buffer(
        &self,
        name: &str,
        shape: &[i64],
        fill: Fill,
        kind: Kind,
        optional: bool,
    ) -> Result<Tensor, ModelError> {
        let name = self.full(name);
        let tensor = self.loader.take(&Wanted {
            kind,
            optional,
            ..Wanted::parameter(self.part, &name, shape, fill)
        })?;
        self.loader.found.borrow_mut().buffers.push((self.part, name));
        Ok(tensor)
    }

    /// As [`Names::tensor`], and listed among the norms.
    pub(crate) fn norm_tensor(
        &self,
        name: &str,
        shape: &[i64],
        fill: Fill,
    ) -> Result<Tensor, ModelError> {
        let tensor = self.tensor(name, shape, fill)?;
        self.loader.found.borrow_mut().parts.norms.push(self.full(name));
        Ok(tensor)
    }

    /// A linear map of the body is known by the name that it has here.
    pub(crate) fn list_linear(&self, slot: &LinearSlot) {
        if self.part != Part::Head {
            let _ = self
                .loader
                .found
                .borrow_mut()
                .linears
                .insert(self.path.clone(), slot.shallow_clone());
        }
    }

    /// What is called `name` here, or stands below, learns as fast as the head.
    pub(crate) fn list_with_head(&self, name: &str) {
        let mut found = self.loader.found.borrow_mut();
        let path = format!("{}.", self.full(name));
        let names: Vec<String> = found
            .tensors
            .iter()
            .map(|it| &it.0)
            .filter(|it| it.starts_with(&path))
            .cloned()
            .collect();
        found.parts.with_head.extend(names);
    }

    /// The linear map here gives outputs.
    pub(crate) fn list_output(&self) {
        let names = (self.full("weight"), self.full("bias"));
        self.loader.found.borrow_mut().parts.outputs.push(names);
    }

    /// The tensor `owner`, which this model has already, under another `name` here.
    ///
    /// # Errors
    /// There is no `owner`.
    pub(crate) fn tied(&self, owner: &str, name: &str) -> Result<Tensor, ModelError> {
        let tied = (owner.into(), self.full(name));
        self.loader.found.borrow_mut().parts.tied.push(tied);
        self.shared(owner)
    }

    /// The tensor `owner`, which this model has already.
    ///
    /// # Errors
    /// There is no `owner`.
    pub(crate) fn shared(&self, owner: &str) -> Result<Tensor, ModelError> {
        let found = self.loader.found.borrow();
        let tensor = found.tensors.iter().find(|it| it.0 == owner).map(|it| it.1.shallow_clone());
        tensor.ok_or_else(|| {
            let source = TchError::Shape("it is to be shared, and is not there".into());
            ModelError::Tensor { name: owner.into(), source }
        })
    }

    /// The shape that a tensor here has in the checkpoint.
    pub(crate) fn stored_shape(&self, name: &str) -> Option<Vec<i64>> {
        let (file, stored) = self.loader.catalogue.places.get(&self.full(name))?;
        file.info(stored).map(weights::shape)
    }

    /// Of a tensor here. Those of timm's vision transformers may stand at the root.
    fn full(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_string() } else { format!("{}.{name}", self.path) }
    }
}

impl<'a, T: ToString> Div<T> for &Names<'a> {
    type Output = Names<'a>;

    fn div(self, name: T) -> Names<'a> {
        Names { loader: self.loader, part: self.part, path: self.full(&name.to_string()) }
    }
}

impl<'a, T: ToString> Div<T> for Names<'a> {
    type Output = Names<'a>;

    fn div(self, name: T) -> Names<'a> {
        &self / name
    }
}
