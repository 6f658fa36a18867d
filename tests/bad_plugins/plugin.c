/* A plugin in plain C whose every part can be made bad from the command line of the compiler:
 *
 *     cc -shared -fPIC -o bad.so -DKIND=3 '-DUPDATE=abort();' plugin.c
 *
 * Without a -D it is a sound metric called "bad" (KIND=3), or, with KIND=1 or 2, a sound head or loss. The ABI is
 * stated here once more by hand, so that the host is held against the documentation and not against itself; and as it
 * was at first, before plugins could claim problems: with PROBLEMS it has the field that was appended for that. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct { const uint8_t *ptr; size_t len; } bytes;
typedef struct { void *context; void (*write)(void *, bytes); } sink;
typedef struct { uint32_t abi, size; void *context; void (*log)(void *, uint32_t, bytes); } host;
typedef struct { uint32_t kind, reserved; bytes name; const void *functions; } export;
typedef struct { uint32_t abi, size; const export *exports; size_t n_exports; } table;
typedef struct { uint32_t kind; char name[60]; } item;
typedef struct {
    char magic[16]; uint32_t abi, size, tier, flags; char made_with[60]; uint32_t n_items; char tch[32], libtorch[32];
    char name[60]; uint32_t reserved; char version[32]; item items[32];
} descriptor;

typedef void tensor;
extern void atg_matmul(tensor **, tensor *, tensor *);
extern void atg_sqrt(tensor **, tensor *);
extern void atg__cast_double(tensor **, tensor *, int);
extern tensor *at_tensor_of_data(void *, int64_t *, size_t, size_t, int);
extern tensor *at_shallow_clone(tensor *);
extern tensor *at_new_tensor(void);

#ifndef MAGIC
#define MAGIC "finetuned-plugin"
#endif
#ifndef ABI
#define ABI 1
#endif
#ifndef TABLE_ABI
#define TABLE_ABI 1
#endif
#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(table)
#endif
#ifndef KIND
#define KIND 3
#endif
#ifndef FLAGS
#define FLAGS 0
#endif
#ifndef NAME
#define NAME "bad"
#endif
#if KIND <= 2
#define TIER 1
#ifndef TCH
#define TCH "0.26.0"
#endif
#ifndef LIBTORCH
#define LIBTORCH "2.13.0"
#endif
#else
#define TIER 0
#define TCH ""
#define LIBTORCH ""
#endif
#ifndef EXPORT_NAME
#define EXPORT_NAME NAME
#endif
#ifndef ENTRY
#define ENTRY
#endif
#ifndef CREATE
#define CREATE
#endif
#ifndef DESTROY
#define DESTROY
#endif
#ifndef UPDATE
#define UPDATE
#endif
#ifndef MERGE
#define MERGE
#endif
#ifndef COMPUTE
#define COMPUTE
#endif
#ifndef MERGE_FUNCTION
#define MERGE_FUNCTION merge
#endif
#ifndef PARAMETERS
#define PARAMETERS
#endif
#ifndef FORWARD
#define FORWARD
#endif
#ifndef GLOBAL
#define GLOBAL
#endif
#ifndef FUNCTIONS_SIZE
#define FUNCTIONS_SIZE sizeof functions
#endif
#ifdef PROBLEMS
#define PROBLEMS_FIELD uint64_t problems;
#define PROBLEMS_VALUE , PROBLEMS
#else
#define PROBLEMS_FIELD
#define PROBLEMS_VALUE
#endif

#ifndef NO_DESCRIPTOR
__attribute__((section(".finetuned"), used, visibility("default")))
const descriptor finetuned_plugin_descriptor = {
    .magic = MAGIC, .abi = ABI, .size = sizeof(descriptor), .tier = TIER, .flags = FLAGS, .made_with = "cc", .n_items = 1,
    .tch = TCH, .libtorch = LIBTORCH, .name = NAME, .version = "1.2.3",
    .items = { { KIND, NAME } },
};
#endif

GLOBAL

static const host *the_host;

static int32_t say(const sink *error, int32_t status, const char *why) {
    error->write(error->context, (bytes){ (const uint8_t *)why, strlen(why) });
    return status;
}

static void *sleep_for_ever(void *unused) {
    for (;;) pause();
    return unused;
}

static void start_a_thread(void) {
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_for_ever, NULL);
}

static void log_line(uint32_t level, const char *line) {
    the_host->log(the_host->context, level, (bytes){ (const uint8_t *)line, strlen(line) });
}

#if KIND == 3
typedef struct { uint32_t size, reserved; size_t n_classes; const bytes *class_names; } shape;
typedef struct { uint32_t size, reserved; size_t n, n_classes; const float *probabilities; const uint32_t *labels; } batch;
typedef struct { uint64_t right, all; } instance;

static int32_t create(bytes settings, const shape *s, instance **it, const sink *error) {
    CREATE;
    *it = calloc(1, sizeof(instance));
    return 0;
}

static void destroy(instance *it) {
    DESTROY;
    free(it);
}

static int32_t update(instance *it, const batch *b, const sink *error) {
    UPDATE;
    for (size_t row = 0; row < b->n; row++) {
        const float *p = b->probabilities + row * b->n_classes;
        size_t best = 0;
        for (size_t c = 1; c < b->n_classes; c++) if (p[best] < p[c]) best = c;
        it->right += best == b->labels[row];
        it->all++;
    }
    return 0;
}

static int32_t merge(instance *it, instance *other, const sink *error) {
    MERGE;
    it->right += other->right;
    it->all += other->all;
    return 0;
}

static int32_t compute(instance *it, double *score, const sink *error) {
    COMPUTE;
    if (it->all == 0) return say(error, 1, "nothing was seen");
    *score = (double)it->right / (double)it->all;
    return 0;
}

static const struct {
    uint32_t size, higher_is_better; int32_t (*create)(bytes, const shape *, instance **, const sink *); void (*destroy)(instance *);
    int32_t (*update)(instance *, const batch *, const sink *); int32_t (*merge)(instance *, instance *, const sink *);
    int32_t (*compute)(instance *, double *, const sink *); PROBLEMS_FIELD
} functions = { FUNCTIONS_SIZE, 1, create, destroy, update, MERGE_FUNCTION, compute PROBLEMS_VALUE };
#endif

#if KIND == 1
typedef struct { uint32_t size; int32_t device; int64_t width, outputs; uint64_t seed; } shape;
typedef struct { uint32_t size, train; uint64_t seed, step, micro; } pass;
typedef struct { uint32_t size, reserved; tensor *features, *mask, *labels; } input;
typedef struct { void *context; void (*put)(void *, bytes, tensor *, uint32_t); } parameter_sink;
typedef struct { tensor *weight; int64_t width, outputs; } instance;

static int32_t create(bytes settings, const shape *s, instance **it, const sink *error) {
    CREATE;
    instance *made = calloc(1, sizeof(instance));
    int64_t dims[] = { s->width, s->outputs };
    float *values = malloc(sizeof(float) * s->width * s->outputs);
    for (int64_t i = 0; i < s->width * s->outputs; i++) values[i] = (float)((i * 7 + s->seed) % 11) / 11.0f - 0.5f;
    made->weight = at_tensor_of_data(values, dims, 2, sizeof(float), 6);
    made->width = s->width;
    made->outputs = s->outputs;
    free(values);
    *it = made;
    return 0;
}

static void destroy(instance *it) {
    DESTROY;
    free(it);
}

static int32_t parameters(instance *it, const parameter_sink *out, const sink *error) {
    PARAMETERS;
    out->put(out->context, (bytes){ (const uint8_t *)"weight", 6 }, it->weight, 1);
    return 0;
}

static int32_t forward(instance *it, const input *in, const pass *p, tensor **logits, const sink *error) {
    FORWARD;
    atg_matmul(logits, in->features, it->weight);
    return 0;
}

static const struct {
    uint32_t size, input; int32_t (*create)(bytes, const shape *, instance **, const sink *); void (*destroy)(instance *);
    int32_t (*parameters)(instance *, const parameter_sink *, const sink *);
    int32_t (*forward)(instance *, const input *, const pass *, tensor **, const sink *); PROBLEMS_FIELD
} functions = { FUNCTIONS_SIZE, 0, create, destroy, parameters, forward PROBLEMS_VALUE };
#endif

#if KIND == 2
typedef struct { uint32_t size; int32_t device; int64_t outputs; } shape;
typedef struct { uint32_t size, train; uint64_t seed, step, micro; } pass;
typedef struct { uint32_t size, reserved; tensor *logits, *labels, *features; } input;
typedef struct { int unused; } instance;

static int32_t create(bytes settings, const shape *s, instance **it, const sink *error) {
    CREATE;
    *it = calloc(1, sizeof(instance));
    return 0;
}

static void destroy(instance *it) {
    DESTROY;
    free(it);
}

/* As the sum of squared logits: it learns nothing, but it has gradients. */
extern void atg_mul(tensor **, tensor *, tensor *);
extern void atg_sum_dim_intlist(tensor **, tensor *, int64_t *, int, int, int);
extern void at_free(tensor *);
static int32_t forward(instance *it, const input *in, const pass *p, tensor **losses, const sink *error) {
    FORWARD;
    tensor *squares;
    int64_t dim = 1;
    atg_mul(&squares, in->logits, in->logits);
    atg_sum_dim_intlist(losses, squares, &dim, 1, 0, 6);
    at_free(squares);
    return 0;
}

static const struct {
    uint32_t size, reserved; int32_t (*create)(bytes, const shape *, instance **, const sink *); void (*destroy)(instance *);
    int32_t (*forward)(instance *, const input *, const pass *, tensor **, const sink *); PROBLEMS_FIELD
} functions = { FUNCTIONS_SIZE, 0, create, destroy, forward PROBLEMS_VALUE };
#endif

static const export exports[] = { { KIND, 0, { (const uint8_t *)EXPORT_NAME, sizeof(EXPORT_NAME) - 1 }, &functions } };
static const table the_table = { TABLE_ABI, TABLE_SIZE, exports, 1 };

#ifndef NO_ENTRY
__attribute__((visibility("default")))
int32_t finetuned_plugin_entry(const host *h, const table **out, const sink *error) {
    the_host = h;
    ENTRY;
    *out = &the_table;
    return 0;
}
#endif
