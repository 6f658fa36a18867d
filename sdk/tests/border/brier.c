/* The Brier score of many classes (Brier 1950): the mean over all examples of the squared distance between the
   probabilities and the truth, sum_c (p_c - [c is true])^2. From 0 to 2, less is better. A plugin in plain C:

       cc -std=c11 -O2 -shared -fPIC -fvisibility=hidden -I sdk/include brier.c -o libbrier.so
*/
#include "finetuned_plugin.h"
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef struct {
    double sum;
    uint64_t seen;
} Brier;

static FinetunedStatus refuse(FinetunedStatus status, const char *message, const FinetunedSink *error) {
    error->write(error->context, (FinetunedBytes){(const uint8_t *)message, strlen(message)});
    return status;
}

static FinetunedStatus create(FinetunedBytes settings, const FinetunedMetricShape *shape, FinetunedInstance **instance,
                              const FinetunedSink *error) {
    (void)shape;
    if (settings.len != 2 || memcmp(settings.ptr, "{}", 2) != 0)
        return refuse(FINETUNED_INVALID, "settings: brier has none", error);
    Brier *brier = calloc(1, sizeof *brier);
    if (!brier)
        return refuse(FINETUNED_FAILED, "no memory", error);
    *instance = (FinetunedInstance *)brier;
    return FINETUNED_OK;
}

static void destroy(FinetunedInstance *instance) { free(instance); }

static FinetunedStatus update(FinetunedInstance *instance, const FinetunedMetricBatch *batch, const FinetunedSink *error) {
    (void)error;
    Brier *brier = (Brier *)instance;
    for (size_t i = 0; i < batch->n; i++)
        for (size_t c = 0; c < batch->n_classes; c++) {
            double distance = batch->probabilities[i * batch->n_classes + c] - (batch->labels[i] == c ? 1.0 : 0.0);
            brier->sum += distance * distance;
        }
    brier->seen += batch->n;
    return FINETUNED_OK;
}

static FinetunedStatus merge(FinetunedInstance *instance, FinetunedInstance *other, const FinetunedSink *error) {
    (void)error;
    ((Brier *)instance)->sum += ((Brier *)other)->sum;
    ((Brier *)instance)->seen += ((Brier *)other)->seen;
    return FINETUNED_OK;
}

static FinetunedStatus compute(FinetunedInstance *instance, double *score, const FinetunedSink *error) {
    Brier *brier = (Brier *)instance;
    if (brier->seen == 0)
        return refuse(FINETUNED_INVALID, "no examples were seen", error);
    *score = brier->sum / (double)brier->seen;
    return FINETUNED_OK;
}

static const FinetunedMetricFunctions functions = {
    .size = sizeof functions, .higher_is_better = 0, .create = create, .destroy = destroy, .update = update, .merge = merge, .compute = compute};

static const FinetunedExport exports[] = {{.kind = FINETUNED_KIND_METRIC, .name = {(const uint8_t *)"brier", 5}, .functions = &functions}};

static const FinetunedTable table = {.abi = FINETUNED_ABI_VERSION, .size = sizeof table, .exports = exports, .n_exports = 1};

EXPORTED __attribute__((section(".finetuned"), used)) const FinetunedDescriptor finetuned_plugin_descriptor = {
    .magic = "finetuned-plugin",
    .abi = FINETUNED_ABI_VERSION,
    .size = sizeof(FinetunedDescriptor),
    .tier = FINETUNED_TIER_PLAIN,
    .made_with = "C",
    .n_items = 1,
    .name = "brier",
    .version = "1.0.0",
    .items = {{.kind = FINETUNED_KIND_METRIC, .name = "brier"}},
};

EXPORTED FinetunedStatus finetuned_plugin_entry(const FinetunedHost *host, const FinetunedTable **out, const FinetunedSink *error) {
    (void)error;
    static const char hello[] = "brier is here";
    host->log(host->context, FINETUNED_LOG_INFO, (FinetunedBytes){(const uint8_t *)hello, sizeof hello - 1});
    *out = &table;
    return FINETUNED_OK;
}
