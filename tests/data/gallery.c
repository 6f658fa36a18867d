/* A reader, an augmentation and a metric in plain C. `gallery` reads images with their classes from lines "PATH LABEL" of a file
   index.txt; those whose path begins with test/ are the test split, a line without a label is a bad example. `darken` takes
   up to half of the light. `mean_distance` is how far numbers are from the true ones, in their own units: the mean over all of |said - true|.

       cc -std=c11 -O2 -shared -fPIC -fvisibility=hidden -I sdk/include gallery.c -o gallery.so
*/
#include "finetuned_plugin.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

static char nothing;

static FinetunedStatus create(FinetunedBytes settings, FinetunedInstance **instance, const FinetunedSink *error) {
    (void)settings;
    (void)error;
    *instance = (FinetunedInstance *)&nothing;
    return FINETUNED_OK;
}

static void destroy(FinetunedInstance *instance) { (void)instance; }

/* Its number among the files, or how many there are. */
static size_t find(const FinetunedDropFiles *drop) {
    size_t i = 0;
    while (i < drop->n_files && !(drop->files[i].len == 9 && memcmp(drop->files[i].ptr, "index.txt", 9) == 0))
        i++;
    return i;
}

static FinetunedStatus recognise(FinetunedInstance *instance, const FinetunedDropFiles *drop, uint32_t *recognised, const FinetunedSink *error) {
    (void)instance;
    (void)error;
    *recognised = find(drop) < drop->n_files;
    return FINETUNED_OK;
}

static FinetunedBytes bytes(const char *text) { return (FinetunedBytes){(const uint8_t *)text, strlen(text)}; }

static FinetunedStatus read_all(FinetunedInstance *instance, const FinetunedDropFiles *drop, const FinetunedExampleSink *sink,
                                const FinetunedSink *error) {
    (void)instance;
    char path[4096], line[512];
    snprintf(path, sizeof path, "%.*s/index.txt", (int)drop->folder.len, (const char *)drop->folder.ptr);
    FILE *file = fopen(path, "r");
    if (!file) {
        error->write(error->context, bytes("index.txt can't be read"));
        return FINETUNED_FAILED;
    }
    FinetunedStatus status = FINETUNED_OK;
    size_t index = find(drop);
    for (uint64_t number = 1; status == FINETUNED_OK && fgets(line, sizeof line, file); number++) {
        char image[256], label[256];
        if (sscanf(line, "%255s %255s", image, label) != 2) {
            status = sink->bad(sink->context, index, number, bytes("no label"));
            continue;
        }
        uint32_t split = strncmp(image, "test/", 5) == 0 ? FINETUNED_SPLIT_TEST : FINETUNED_SPLIT_OPEN;
        FinetunedExample example = {.size = sizeof example, .split = split, .image = bytes(image), .label = bytes(label), .file = index, .line = number};
        status = sink->example(sink->context, &example);
    }
    fclose(file);
    return status;
}

static const FinetunedReaderFunctions functions = {
    .size = sizeof functions, .create = create, .destroy = destroy, .recognise = recognise, .read = read_all};

static FinetunedStatus darken(FinetunedInstance *instance, const FinetunedImage *image, uint64_t seed, const FinetunedSink *error) {
    (void)instance;
    (void)error;
    size_t values = (size_t)image->width * image->height * 3;
    for (size_t i = 0; i < values; i++)
        image->pixels[i] = (uint8_t)(image->pixels[i] * (256 - seed % 128) / 256);
    return FINETUNED_OK;
}

static const FinetunedAugmentationFunctions changes = {.size = sizeof changes, .create = create, .destroy = destroy, .apply = darken};

typedef struct {
    double sum;
    uint64_t n;
} Distance;

static FinetunedStatus measure(FinetunedBytes settings, const FinetunedMetricShape *shape, FinetunedInstance **instance, const FinetunedSink *error) {
    (void)settings;
    if (shape->size < sizeof *shape || shape->problem != FINETUNED_PROBLEM_REGRESSION) {
        error->write(error->context, bytes("mean_distance was asked for something else than numbers"));
        return FINETUNED_FAILED;
    }
    *instance = calloc(1, sizeof(Distance));
    return *instance ? FINETUNED_OK : FINETUNED_FAILED;
}

static void measured(FinetunedInstance *instance) { free(instance); }

static FinetunedStatus update(FinetunedInstance *instance, const FinetunedMetricBatch *batch, const FinetunedSink *error) {
    (void)error;
    Distance *all = (Distance *)instance;
    for (size_t i = 0; i < batch->n * batch->n_classes; i++) {
        double apart = (double)batch->probabilities[i] - (double)batch->targets[i];
        all->sum += apart < 0 ? -apart : apart;
        all->n++;
    }
    return FINETUNED_OK;
}

static FinetunedStatus merge(FinetunedInstance *instance, FinetunedInstance *other, const FinetunedSink *error) {
    (void)error;
    ((Distance *)instance)->sum += ((Distance *)other)->sum;
    ((Distance *)instance)->n += ((Distance *)other)->n;
    return FINETUNED_OK;
}

static FinetunedStatus compute(FinetunedInstance *instance, double *score, const FinetunedSink *error) {
    Distance *all = (Distance *)instance;
    if (all->n == 0) {
        error->write(error->context, bytes("no examples were seen"));
        return FINETUNED_INVALID;
    }
    *score = all->sum / (double)all->n;
    return FINETUNED_OK;
}

static const FinetunedMetricFunctions distance = {
    .size = sizeof distance, .create = measure, .destroy = measured, .update = update, .merge = merge, .compute = compute,
    .problems = FINETUNED_PROBLEM_REGRESSION};

static const FinetunedExport exports[] = {
    {.kind = FINETUNED_KIND_READER, .name = {(const uint8_t *)"gallery", 7}, .functions = &functions},
    {.kind = FINETUNED_KIND_AUGMENTATION, .name = {(const uint8_t *)"darken", 6}, .functions = &changes},
    {.kind = FINETUNED_KIND_METRIC, .name = {(const uint8_t *)"mean_distance", 13}, .functions = &distance}};

static const FinetunedTable table = {.abi = FINETUNED_ABI_VERSION, .size = sizeof table, .exports = exports, .n_exports = 3};

EXPORTED __attribute__((section(".finetuned"), used)) const FinetunedDescriptor finetuned_plugin_descriptor = {
    .magic = "finetuned-plugin",
    .abi = FINETUNED_ABI_VERSION,
    .size = sizeof(FinetunedDescriptor),
    .tier = FINETUNED_TIER_PLAIN,
    .made_with = "C",
    .n_items = 3,
    .name = "gallery",
    .version = "1.0.0",
    .items = {{.kind = FINETUNED_KIND_READER, .name = "gallery"},
              {.kind = FINETUNED_KIND_AUGMENTATION, .name = "darken"},
              {.kind = FINETUNED_KIND_METRIC, .name = "mean_distance"}},
};

EXPORTED FinetunedStatus finetuned_plugin_entry(const FinetunedHost *host, const FinetunedTable **out, const FinetunedSink *error) {
    (void)host;
    (void)error;
    *out = &table;
    return FINETUNED_OK;
}
