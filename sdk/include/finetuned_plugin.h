/* The border between finetuned's worker and a plugin, version 1. Made from sdk/src/abi/v1 by a test of the SDK; the
   rules that hold for all functions stand in sdk/src/abi.rs and docs/plugins.md. */

#ifndef FINETUNED_PLUGIN_H
#define FINETUNED_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

/**
 * Version of the ABI that this file describes.
 */
#define FINETUNED_ABI_VERSION 1

/**
 * `Descriptor::tier`: no tensor crosses, the library does not need libtorch.
 */
#define FINETUNED_TIER_PLAIN 0

/**
 * `Descriptor::tier`: tensors cross; `tch` and `libtorch` must be the worker's.
 */
#define FINETUNED_TIER_TENSOR 1

/**
 * `Descriptor::flags`: a panic ends the process (Rust's `panic = "abort"`). The host refuses
 * such a plugin.
 */
#define FINETUNED_FLAG_PANIC_ABORTS 1

/**
 * `Item::kind`: see `HeadFunctions`.
 */
#define FINETUNED_KIND_HEAD 1

/**
 * `Item::kind`: see `LossFunctions`.
 */
#define FINETUNED_KIND_LOSS 2

/**
 * `Item::kind`: see `MetricFunctions`.
 */
#define FINETUNED_KIND_METRIC 3

/**
 * `Item::kind`: see `ReaderFunctions`.
 */
#define FINETUNED_KIND_READER 4

/**
 * `Item::kind`: see `HookFunctions`.
 */
#define FINETUNED_KIND_HOOK 5

/**
 * `Item::kind`: see `AugmentationFunctions`.
 */
#define FINETUNED_KIND_AUGMENTATION 6

/**
 * `Item::kind`: see `RewardFunctions`. Appended: hosts that do not
 * know it refuse the plugin.
 */
#define FINETUNED_KIND_REWARD 7

/**
 * Most things that one plugin exports.
 */
#define FINETUNED_ITEMS_MAX 32

/**
 * Bytes of the longest name of an item or a plugin.
 */
#define FINETUNED_NAME_BYTES_MAX 59

/**
 * Bytes of the longest version.
 */
#define FINETUNED_VERSION_BYTES_MAX 31

/**
 * `Host::log`: the user must act, or the result is wrong.
 */
#define FINETUNED_LOG_ERROR 1

/**
 * `Host::log`: something is odd.
 */
#define FINETUNED_LOG_WARN 2

/**
 * `Host::log`: worth a line in the job's log.
 */
#define FINETUNED_LOG_INFO 3

/**
 * `Host::log`: for the plugin's author.
 */
#define FINETUNED_LOG_DEBUG 4

/**
 * One class of each example is true. Outputs are the logits of a softmax over the classes.
 */
#define FINETUNED_PROBLEM_SINGLE_LABEL 1

/**
 * Any number of classes of each example are true, also none. Outputs are a logit for each class.
 */
#define FINETUNED_PROBLEM_MULTI_LABEL 2

/**
 * Numbers are learnt, an output for each. Heads and losses work in the model's own units, where
 * the training examples of each number have mean 0 and deviation 1; metrics see what people see,
 * the data's units.
 */
#define FINETUNED_PROBLEM_REGRESSION 4

/**
 * `HeadFunctions::input`: (batch, width), the one vector that the model's family gives for each
 * example.
 */
#define FINETUNED_INPUT_POOLED 0

/**
 * `HeadFunctions::input`: (batch, seq, width), a vector for each token or patch, with a mask.
 */
#define FINETUNED_INPUT_SEQUENCE 1

/**
 * `Example::split`: the host decides.
 */
#define FINETUNED_SPLIT_OPEN 0

/**
 * `Example::split`
 */
#define FINETUNED_SPLIT_TRAIN 1

/**
 * `Example::split`
 */
#define FINETUNED_SPLIT_VALIDATION 2

/**
 * `Example::split`
 */
#define FINETUNED_SPLIT_TEST 3

/**
 * `Progress::event`: an update was made.
 */
#define FINETUNED_EVENT_STEP 1

/**
 * `Progress::event`: the validation split was scored; `scores` are there.
 */
#define FINETUNED_EVENT_EVALUATED 2

/**
 * `Progress::event`: an epoch ended, after its evaluation if it had one.
 */
#define FINETUNED_EVENT_EPOCH 3

/**
 * Wish: end the training as if it had come to its end. The best step so far becomes the model.
 */
#define FINETUNED_WISH_STOP 1

/**
 * Wish: write a checkpoint now.
 */
#define FINETUNED_WISH_SAVE 2

/**
 * A status is one of these numbers.
 */
typedef int32_t FinetunedStatus;

/**
 * Bytes of the caller. Texts are UTF-8 without a zero at the end; settings are one JSON object.
 */
typedef struct FinetunedBytes {
  /**
   * May be null if `len` is 0.
   */
  const uint8_t *ptr;
  /**
   * Bytes behind `ptr`.
   */
  uintptr_t len;
} FinetunedBytes;

/**
 * What the host offers. Owned by the host, valid and unchanged until the process ends.
 */
typedef struct FinetunedHost {
  /**
   * `ABI_VERSION` of the host; a plugin that needs more answers the entry with `FAILED`.
   */
  uint32_t abi;
  /**
   * `sizeof(Host)`.
   */
  uint32_t size;
  /**
   * Passed back in every call.
   */
  void *context;
  /**
   * One line for the job's log, under the plugin's name. `level` is `LOG_...`; `text` is copied
   * before it returns. From any thread. Never null.
   */
  void (*log)(void *context, uint32_t level, struct FinetunedBytes text);
} FinetunedHost;

/**
 * One thing that a plugin exports, with its functions. Owned by the plugin, valid until the
 * process ends.
 */
typedef struct FinetunedExport {
  /**
   * `KIND_...`, as in the descriptor.
   */
  uint32_t kind;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * As in the descriptor.
   */
  struct FinetunedBytes name;
  /**
   * `HeadFunctions`, `LossFunctions`, `MetricFunctions`, `ReaderFunctions`, `HookFunctions`,
   * `AugmentationFunctions` or `RewardFunctions`, as `kind` says. Never null.
   */
  const void *functions;
} FinetunedExport;

/**
 * All that a plugin exports. Owned by the plugin, valid and unchanged until the process ends.
 */
typedef struct FinetunedTable {
  /**
   * `ABI_VERSION` that the plugin was made for.
   */
  uint32_t abi;
  /**
   * `sizeof(Table)`.
   */
  uint32_t size;
  /**
   * `Descriptor::n_items` of them, in its order.
   */
  const struct FinetunedExport *exports;
  /**
   * Tables behind `exports`.
   */
  uintptr_t n_exports;
} FinetunedTable;

/**
 * A place for bytes. Owned by the caller of the function that received it, valid until that
 * function returns.
 */
typedef struct FinetunedSink {
  /**
   * Passed back in every call; nobody else looks at it.
   */
  void *context;
  /**
   * Replaces what was written before by a copy of `text`. `text` belongs to whoever calls.
   */
  void (*write)(void *context, struct FinetunedBytes text);
} FinetunedSink;

/**
 * Type of the symbol `ENTRY_SYMBOL`. Called once, before all else, from one thread. `host` stays
 * valid until the process ends and may be kept. With `OK`, `*table` is written. With another
 * status the plugin is not used.
 */
typedef FinetunedStatus (*FinetunedEntry)(const struct FinetunedHost *host,
                                          const struct FinetunedTable **table,
                                          const struct FinetunedSink *error);

/**
 * A thing that a plugin exports.
 */
typedef struct FinetunedItem {
  /**
   * `KIND_...`; 0 where there is no item.
   */
  uint32_t kind;
  /**
   * What recipes call it: lower-case letters, digits, `-` and `_`, 1 to `NAME_BYTES_MAX` of
   * them, then zeros.
   */
  uint8_t name[60];
} FinetunedItem;

/**
 * All that can be known of a plugin without opening it. Texts are UTF-8, filled up with zeros, at
 * least one.
 *
 * `magic` and `abi` stand where they stand in every version; a host that does not know `abi` looks
 * no further.
 */
typedef struct FinetunedDescriptor {
  /**
   * `MAGIC`.
   */
  uint8_t magic[16];
  /**
   * `ABI_VERSION` that the plugin was made for.
   */
  uint32_t abi;
  /**
   * `sizeof(Descriptor)`.
   */
  uint32_t size;
  /**
   * `TIER_...`
   */
  uint32_t tier;
  /**
   * `FLAG_...`, or-ed.
   */
  uint32_t flags;
  /**
   * What it was made with: "finetuned-sdk 0.1.0"; free text, for people.
   */
  uint8_t made_with[60];
  /**
   * Items in use, from the first.
   */
  uint32_t n_items;
  /**
   * Version of the tch crate whose functions are called ("0.26.0"); all zeros in the plain tier.
   */
  uint8_t tch[32];
  /**
   * Version of libtorch that this tch is for ("2.13.0"); all zeros in the plain tier.
   */
  uint8_t libtorch[32];
  /**
   * The plugin's name, as an item's; what `[plugins] load` in a recipe names.
   */
  uint8_t name[60];
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * The plugin's own version.
   */
  uint8_t version[32];
  /**
   * In the order of `Table::exports`.
   */
  struct FinetunedItem items[FINETUNED_ITEMS_MAX];
} FinetunedDescriptor;

/**
 * What a head is built for.
 */
typedef struct FinetunedHeadShape {
  /**
   * `sizeof(HeadShape)`.
   */
  uint32_t size;
  /**
   * Where the parameters must lie: -1 for the CPU, else the number of the CUDA device.
   */
  int32_t device;
  /**
   * Numbers in one vector of features.
   */
  int64_t width;
  /**
   * Numbers in one row of outputs: the classes, or the numbers that are learnt.
   */
  int64_t outputs;
  /**
   * The run's. The host also seeds torch's generator of random numbers before `create`.
   */
  uint64_t seed;
  /**
   * `PROBLEM_...`: one of those that `problems` claims. Appended; 0:
   * `PROBLEM_SINGLE_LABEL`.
   */
  uint64_t problem;
} FinetunedHeadShape;

/**
 * What a plugin made by one of its `create` functions; only it knows what is inside.
 */
typedef struct FinetunedInstance {
  uint8_t _private[0];
} FinetunedInstance;

/**
 * A tensor of libtorch: what tch calls `C_tensor`, torch's `at::Tensor` on the heap.
 */
typedef struct FinetunedCTensor {
  uint8_t _private[0];
} FinetunedCTensor;

/**
 * Receives the parameters of a head.
 */
typedef struct FinetunedParameterSink {
  /**
   * Handed back with each call; the host's.
   */
  void *context;
  /**
   * `name`: dotted, as in a state dict ("weight", "norm.bias"), unique; the host puts the head's
   * own prefix before it. `tensor`: fp32, on the head's device, a leaf. The host takes a shallow
   * clone, so it is the very tensor that the head computes with, which the host then fills (from
   * a checkpoint), trains and saves. `trainable`: 0 for a buffer, which is saved and restored
   * but never trained by the optimizer.
   */
  void (*put)(void *context,
              struct FinetunedBytes name,
              struct FinetunedCTensor *tensor,
              uint32_t trainable);
} FinetunedParameterSink;

/**
 * Input of a head. The tensors are the host's, fp32 or int64 on the head's device; the plugin must
 * not change their values, and takes a shallow clone of one that it keeps.
 */
typedef struct FinetunedHeadInput {
  /**
   * `sizeof(HeadInput)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * fp32: (batch, width) or (batch, seq, width), as `HeadFunctions::input` says. Never null.
   */
  struct FinetunedCTensor *features;
  /**
   * int64 (batch, seq): 1 where there is a token, 0 where the row is filled up; each row has a
   * 1. Null for pooled input.
   */
  struct FinetunedCTensor *mask;
  /**
   * What is true, as in `LossInput::labels`. Null in evaluation: a
   * head may use it to train, never to answer.
   */
  struct FinetunedCTensor *labels;
} FinetunedHeadInput;

/**
 * What a forward pass is for. Whoever draws noise draws it as a function of these numbers, or from
 * torch's generator, whose state is part of every checkpoint: a killed run goes on bit for bit.
 */
typedef struct FinetunedPass {
  /**
   * `sizeof(Pass)`.
   */
  uint32_t size;
  /**
   * 1 while training, 0 in evaluation, where gradients are off and nothing may be random.
   */
  uint32_t train;
  /**
   * Of the run.
   */
  uint64_t seed;
  /**
   * Update, from 0.
   */
  uint64_t step;
  /**
   * Forward pass within the update, from 0.
   */
  uint64_t micro;
} FinetunedPass;

/**
 * Functions of a head. No function may be null.
 */
typedef struct FinetunedHeadFunctions {
  /**
   * `sizeof(HeadFunctions)`.
   */
  uint32_t size;
  /**
   * `INPUT_...`
   */
  uint32_t input;
  /**
   * Builds a head with new parameters. `settings` is a JSON object: what the recipe says, `{}`
   * for nothing. An unknown key is `INVALID`. `*instance` is new and the host's.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            const struct FinetunedHeadShape *shape,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * Names every parameter and buffer, in the same order each time.
   */
  FinetunedStatus (*parameters)(struct FinetunedInstance *instance,
                                const struct FinetunedParameterSink *sink,
                                const struct FinetunedSink *error);
  /**
   * Features -> fp32 (batch, outputs), the logits, or numbers in the model's own units.
   * `*logits` is a new tensor and the host's, which frees it as tch does (`at_free`). It is part
   * of the gradient graph of the features and the parameters.
   */
  FinetunedStatus (*forward)(struct FinetunedInstance *instance,
                             const struct FinetunedHeadInput *input,
                             const struct FinetunedPass *pass,
                             struct FinetunedCTensor **logits,
                             const struct FinetunedSink *error);
  /**
   * `PROBLEM_...`, or-ed: what it can be created for. Appended; 0:
   * `PROBLEM_SINGLE_LABEL`.
   */
  uint64_t problems;
} FinetunedHeadFunctions;

/**
 * What a loss is built for.
 */
typedef struct FinetunedLossShape {
  /**
   * `sizeof(LossShape)`.
   */
  uint32_t size;
  /**
   * -1 for the CPU, else the number of the CUDA device.
   */
  int32_t device;
  /**
   * Numbers in one row of logits: the classes, or the numbers that are learnt.
   */
  int64_t outputs;
  /**
   * `PROBLEM_...`: one of those that `problems` claims. Appended; 0:
   * `PROBLEM_SINGLE_LABEL`.
   */
  uint64_t problem;
} FinetunedLossShape;

/**
 * Input of a loss. The tensors are the host's; the plugin must not change their values.
 */
typedef struct FinetunedLossInput {
  /**
   * `sizeof(LossInput)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * fp32 (batch, outputs): what the head gave. Never null.
   */
  struct FinetunedCTensor *logits;
  /**
   * What is true, by the problem: the classes, int64 (batch); for several labels fp32 (batch,
   * outputs), 1 where a class is true and 0 where it is not; for numbers fp32 (batch, outputs),
   * in the model's own units. Never null.
   */
  struct FinetunedCTensor *labels;
  /**
   * fp32 (batch, width): what the head was given. Null if the head takes sequences.
   */
  struct FinetunedCTensor *features;
} FinetunedLossInput;

/**
 * Functions of a loss. No function may be null.
 */
typedef struct FinetunedLossFunctions {
  /**
   * `sizeof(LossFunctions)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * `settings` and `*instance` as `HeadFunctions::create`.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            const struct FinetunedLossShape *shape,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * -> fp32 (batch): the loss of every example, finite. The host weights the examples, adds them
   * up and divides, so that the gradients of parts of a batch add up to those of the whole.
   * `*losses` is a new tensor and the host's, part of the gradient graph of the logits and the
   * features.
   */
  FinetunedStatus (*forward)(struct FinetunedInstance *instance,
                             const struct FinetunedLossInput *input,
                             const struct FinetunedPass *pass,
                             struct FinetunedCTensor **losses,
                             const struct FinetunedSink *error);
  /**
   * `PROBLEM_...`, or-ed: what it can be created for. Appended; 0:
   * `PROBLEM_SINGLE_LABEL`.
   */
  uint64_t problems;
} FinetunedLossFunctions;

/**
 * What a metric is built for.
 */
typedef struct FinetunedMetricShape {
  /**
   * `sizeof(MetricShape)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * The classes, or the numbers that are learnt. At least 1; at least 2 where one label is true.
   */
  uintptr_t n_classes;
  /**
   * Their names, in the order of the outputs: classes by number if all are integers, else by
   * their letters.
   */
  const struct FinetunedBytes *class_names;
  /**
   * `PROBLEM_...`: one of those that `problems` claims. Appended; 0:
   * `PROBLEM_SINGLE_LABEL`.
   */
  uint64_t problem;
} FinetunedMetricShape;

/**
 * Some examples: what the model says, and what is true.
 */
typedef struct FinetunedMetricBatch {
  /**
   * `sizeof(MetricBatch)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * Examples; may be 0.
   */
  uintptr_t n;
  /**
   * As `MetricShape::n_classes`.
   */
  uintptr_t n_classes;
  /**
   * n * n_classes: each row what the model says of one example, finite: the probabilities of the
   * classes, with sum 1; for several labels each from 0 to 1; for numbers these, in the data's
   * units.
   */
  const float *probabilities;
  /**
   * n: the true classes, each below n_classes. Null for several labels and for numbers.
   */
  const uint32_t *labels;
  /**
   * n * n_classes, for several labels: 1 where a class is true, 0 where it is not; for numbers:
   * the true ones, in the data's units. Null for one label. Appended.
   */
  const float *targets;
} FinetunedMetricBatch;

/**
 * Functions of a metric. No function may be null.
 */
typedef struct FinetunedMetricFunctions {
  /**
   * `sizeof(MetricFunctions)`.
   */
  uint32_t size;
  /**
   * 1 if more is better, 0 if less is.
   */
  uint32_t higher_is_better;
  /**
   * A metric that has seen nothing. `settings` and `*instance` as
   * `HeadFunctions::create`.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            const struct FinetunedMetricShape *shape,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * Takes in more examples.
   */
  FinetunedStatus (*update)(struct FinetunedInstance *instance,
                            const struct FinetunedMetricBatch *batch,
                            const struct FinetunedSink *error);
  /**
   * Takes in all that `other` has seen, after what `instance` has seen. `other` was created with
   * the same settings and shape, is not `instance`, stays as it was and stays the host's.
   */
  FinetunedStatus (*merge)(struct FinetunedInstance *instance,
                           struct FinetunedInstance *other,
                           const struct FinetunedSink *error);
  /**
   * The score of all that was seen. May be called at any time, and more may be taken in
   * afterwards. A score that does not exist (nothing was seen) is `INVALID`; NaN is no score.
   */
  FinetunedStatus (*compute)(struct FinetunedInstance *instance,
                             double *score,
                             const struct FinetunedSink *error);
  /**
   * `PROBLEM_...`, or-ed: what it can be created for. Appended; 0:
   * `PROBLEM_SINGLE_LABEL`.
   */
  uint64_t problems;
} FinetunedMetricFunctions;

/**
 * The files of a drop, unpacked.
 */
typedef struct FinetunedDropFiles {
  /**
   * `sizeof(DropFiles)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * Absolute path of the folder. Nothing in it may be changed.
   */
  struct FinetunedBytes folder;
  /**
   * Paths below the folder with `/`, sorted by bytes; regular files only, the recipe left out.
   */
  const struct FinetunedBytes *files;
  /**
   * Paths behind `files`.
   */
  uintptr_t n_files;
} FinetunedDropFiles;

/**
 * One example. Exactly one of `text` and `image` is there.
 */
typedef struct FinetunedExample {
  /**
   * `sizeof(Example)`.
   */
  uint32_t size;
  /**
   * `SPLIT_...`
   */
  uint32_t split;
  /**
   * UTF-8; a null pointer if it is an image.
   */
  struct FinetunedBytes text;
  /**
   * Path of an image file below the folder; a null pointer if it is a text.
   */
  struct FinetunedBytes image;
  /**
   * Name of its class, not empty.
   */
  struct FinetunedBytes label;
  /**
   * Where it stands: index into `DropFiles::files`, and line, from 1 (0: no line).
   */
  uintptr_t file;
  /**
   * From 1; 0: no line.
   */
  uint64_t line;
} FinetunedExample;

/**
 * Receives what a reader finds.
 */
typedef struct FinetunedExampleSink {
  /**
   * Handed back with each call; the host's.
   */
  void *context;
  /**
   * Copies the example. `STOPPED`: no more is wanted.
   */
  FinetunedStatus (*example)(void *context, const struct FinetunedExample *example);
  /**
   * An example that cannot be used: where, and why in a few words ("no label"). `STOPPED` as
   * above.
   */
  FinetunedStatus (*bad)(void *context, uintptr_t file, uint64_t line, struct FinetunedBytes reason);
} FinetunedExampleSink;

/**
 * Functions of a reader. Version 1 has them all, none may be null.
 */
typedef struct FinetunedReaderFunctions {
  /**
   * `sizeof(ReaderFunctions)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * `settings` and `*instance` as `HeadFunctions::create`.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * `*recognised` is 1 if these files are in this reader's format, else 0. May look into files.
   */
  FinetunedStatus (*recognise)(struct FinetunedInstance *instance,
                               const struct FinetunedDropFiles *drop,
                               uint32_t *recognised,
                               const struct FinetunedSink *error);
  /**
   * Passes every example, in an order that depends on nothing but the files.
   */
  FinetunedStatus (*read)(struct FinetunedInstance *instance,
                          const struct FinetunedDropFiles *drop,
                          const struct FinetunedExampleSink *sink,
                          const struct FinetunedSink *error);
} FinetunedReaderFunctions;

/**
 * A score of the validation split.
 */
typedef struct FinetunedScore {
  /**
   * As in a recipe: "macro_f1", "loss", a plugin metric's name.
   */
  struct FinetunedBytes name;
  /**
   * In the units of the metric.
   */
  double value;
  /**
   * 1 if more is better, 0 if less is.
   */
  uint32_t higher_is_better;
  /**
   * 0
   */
  uint32_t reserved;
} FinetunedScore;

/**
 * Where training stands.
 */
typedef struct FinetunedProgress {
  /**
   * `sizeof(Progress)`.
   */
  uint32_t size;
  /**
   * `EVENT_...`
   */
  uint32_t event;
  /**
   * Updates made, and planned in all.
   */
  uint64_t step;
  /**
   * Planned in all.
   */
  uint64_t steps;
  /**
   * Epochs done, with the part of the current one.
   */
  double epoch;
  /**
   * Of the last update: mean loss of its examples, learning rate, L2 norm of all gradients
   * before clipping.
   */
  double loss;
  /**
   * Learning rate.
   */
  double lr;
  /**
   * L2 norm before clipping.
   */
  double gradient_norm;
  /**
   * With `EVENT_EVALUATED`: all scores.
   */
  const struct FinetunedScore *scores;
  /**
   * Scores behind `scores`.
   */
  uintptr_t n_scores;
} FinetunedProgress;

/**
 * Functions of a hook. Version 1 has them all, none may be null.
 */
typedef struct FinetunedHookFunctions {
  /**
   * `sizeof(HookFunctions)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * `settings` and `*instance` as `HeadFunctions::create`.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * Called in the training loop: after every update, so it must be fast. `*wishes`: `WISH_...`,
   * or-ed.
   */
  FinetunedStatus (*progress)(struct FinetunedInstance *instance,
                              const struct FinetunedProgress *progress,
                              uint32_t *wishes,
                              const struct FinetunedSink *error);
  /**
   * Writes all that the hook remembers, as text, for a checkpoint.
   */
  FinetunedStatus (*save)(struct FinetunedInstance *instance,
                          const struct FinetunedSink *state,
                          const struct FinetunedSink *error);
  /**
   * Takes back what `save` wrote, in a new instance with the same settings: a resumed run goes
   * on as if it had never been killed.
   */
  FinetunedStatus (*load)(struct FinetunedInstance *instance,
                          struct FinetunedBytes state,
                          const struct FinetunedSink *error);
} FinetunedHookFunctions;

/**
 * An image, 8 bits each of red, green and blue. The pixels are the host's and are changed in
 * place.
 */
typedef struct FinetunedImage {
  /**
   * `sizeof(Image)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * In pixels.
   */
  uint32_t width;
  /**
   * In pixels.
   */
  uint32_t height;
  /**
   * height * width * 3: row by row from the top, each pixel red, green, blue, no gap.
   */
  uint8_t *pixels;
} FinetunedImage;

/**
 * Functions of an augmentation. Version 1 has them all, none may be null.
 */
typedef struct FinetunedAugmentationFunctions {
  /**
   * `sizeof(AugmentationFunctions)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * `settings` and `*instance` as `HeadFunctions::create`.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * Changes the image. What it does depends on nothing but settings, pixels and `seed`, which
   * differs for each example and epoch: an instance has no memory, and the host makes one for
   * each thread.
   */
  FinetunedStatus (*apply)(struct FinetunedInstance *instance,
                           const struct FinetunedImage *image,
                           uint64_t seed,
                           const struct FinetunedSink *error);
} FinetunedAugmentationFunctions;

/**
 * An answer, and what is known of its prompt.
 */
typedef struct FinetunedAnswer {
  /**
   * `sizeof(Answer)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * The last message of the prompt.
   */
  struct FinetunedBytes prompt;
  /**
   * All messages of the prompt: a list of JSON, each an object with `role` and `content`.
   */
  struct FinetunedBytes messages;
  /**
   * What the model answered, without special tokens; may be empty.
   */
  struct FinetunedBytes answer;
  /**
   * The other columns of the row that the prompt stands in: an object of JSON.
   */
  struct FinetunedBytes fields;
} FinetunedAnswer;

/**
 * Functions of a reward. Version 1 has them all, none may be null.
 */
typedef struct FinetunedRewardFunctions {
  /**
   * `sizeof(RewardFunctions)`.
   */
  uint32_t size;
  /**
   * 0
   */
  uint32_t reserved;
  /**
   * `settings` and `*instance` as `HeadFunctions::create`.
   */
  FinetunedStatus (*create)(struct FinetunedBytes settings,
                            struct FinetunedInstance **instance,
                            const struct FinetunedSink *error);
  /**
   * Ends an instance of `create`, also a broken one.
   */
  void (*destroy)(struct FinetunedInstance *instance);
  /**
   * `*reward` is what the answer is worth: a finite number, the larger the better. It depends on
   * nothing but settings and answer: an instance has no memory, and a resumed run asks again.
   */
  FinetunedStatus (*reward)(struct FinetunedInstance *instance,
                            const struct FinetunedAnswer *answer,
                            double *reward,
                            const struct FinetunedSink *error);
} FinetunedRewardFunctions;

/**
 * It is done, and out-pointers are written.
 */
#define FINETUNED_OK 0

/**
 * What the user gave cannot be used (a setting, a file); the message says which, and what to do.
 */
#define FINETUNED_INVALID 1

/**
 * The plugin could not do it.
 */
#define FINETUNED_FAILED 2

/**
 * The plugin's code panicked; the message says what and where. The instance is broken.
 */
#define FINETUNED_PANICKED 3

/**
 * Called with an instance that is broken.
 */
#define FINETUNED_BROKEN 4

/**
 * A sink wants no more: return soon, with this status and without a message.
 */
#define FINETUNED_STOPPED 5

#endif  /* FINETUNED_PLUGIN_H */
