// What tch leaves out of libtorch, as C functions for `ffi.rs`.
//
// Every function returns null, or a message that the caller gives back to finetuned_free: no exception
// leaves this file. Tensors are the same `at::Tensor *` as tch's; an output is a new one that the caller owns.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/headeronly/version.h>

#include <cmath>
#include <cstring>
#include <limits>

namespace {

using at::Tensor;
using torch::autograd::variable_list;

template <typename F>
char* guarded(const F& body) {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    return strdup(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return strdup(error.what());
  } catch (...) {
    return strdup("an exception of unknown type");
  }
}

// ---- dropout ----------------------------------------------------------------------------------------

// Elements below which a second thread costs more than it saves.
constexpr int64_t GRAIN = 32768;

struct Dropout {
  double p;
  uint64_t seed;
  uint64_t stream;

  float scale() const {
    return p < 1 ? static_cast<float>(1 / (1 - p)) : 0.0f;
  }

  // Element i is kept where its hash, as a signed number, is not below this.
  int32_t threshold() const {
    double t = std::nearbyint(p * 4294967296.0) - 2147483648.0;
    return static_cast<int32_t>(std::min(t, 2147483647.0));
  }
};

struct Keys {
  uint32_t a, b;
};

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// Keys of the elements whose index has `high` above its lower 32 bits.
Keys keys(const Dropout& d, uint64_t high) {
  uint64_t k = mix(mix(mix(d.seed) ^ d.stream) + high);
  return {static_cast<uint32_t>(k), static_cast<uint32_t>(k >> 32)};
}

// "triple32" of C. Wellons (hash-prospector), a permutation of 32 bits, with one key before and one inside:
// the second keeps two streams from being one another's reordering.
inline __attribute__((always_inline)) uint32_t hash(uint32_t i, Keys k) {
  uint32_t x = i ^ k.a;
  x = (x ^ (x >> 17)) * 0xed5ad4bbu;
  x = (x ^ (x >> 11)) + k.b;
  x = x * 0xac4c1b51u;
  x = (x ^ (x >> 15)) * 0x31848babu;
  return x ^ (x >> 14);
}

// The compiler makes one version for each instruction set; the loader picks.
#if defined(__x86_64__) && defined(__linux__)
#define EVERY_X86 __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define EVERY_X86
#endif

EVERY_X86 void drop(const float* __restrict x, float* __restrict y, uint32_t first, uint32_t n, Keys k, int32_t threshold, float scale) {
  for (uint32_t j = 0; j < n; ++j) {
    float kept = x[j] * scale;
    y[j] = static_cast<int32_t>(hash(first + j, k)) >= threshold ? kept : 0.0f;
  }
}

EVERY_X86 void drop_add(
    const float* __restrict x, const float* __restrict r, float* __restrict y, uint32_t first, uint32_t n, Keys k, int32_t threshold, float scale) {
  for (uint32_t j = 0; j < n; ++j) {
    float kept = x[j] * scale;
    y[j] = (static_cast<int32_t>(hash(first + j, k)) >= threshold ? kept : 0.0f) + r[j];
  }
}

// One pass over contiguous fp32 memory; `r` may be null.
void drop_cpu(const Dropout& d, const float* x, const float* r, float* y, int64_t numel) {
  const int32_t threshold = d.threshold();
  const float scale = d.scale();
  at::parallel_for(0, numel, GRAIN, [&](int64_t begin, int64_t end) {
    constexpr int64_t RUN = int64_t(1) << 30; // divides 2^32: the keys are the same within one run
    while (begin < end) {
      int64_t stop = std::min(end, (begin / RUN + 1) * RUN);
      Keys k = keys(d, static_cast<uint64_t>(begin) >> 32);
      uint32_t first = static_cast<uint32_t>(begin), n = static_cast<uint32_t>(stop - begin);
      if (r) {
        drop_add(x + begin, r + begin, y + begin, first, n, k, threshold, scale);
      } else {
        drop(x + begin, y + begin, first, n, k, threshold, scale);
      }
      begin = stop;
    }
  });
}

// The same mask by tensor operations, for every other device and kind. 64-bit integers hold the 32-bit
// products without a sign.
Tensor mask_anywhere(const Dropout& d, const Tensor& x) {
  constexpr int64_t LOW = 0xffffffff;
  const int64_t run = int64_t(1) << 32;
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < x.numel(); begin += run) {
    Keys k = keys(d, static_cast<uint64_t>(begin) >> 32);
    Tensor h = at::arange(std::min(run, x.numel() - begin), x.options().dtype(at::kLong).requires_grad(false));
    auto fold = [&](int64_t shift) { h.bitwise_xor_(h.bitwise_right_shift(shift)); };
    auto times = [&](int64_t factor) { h.mul_(factor).bitwise_and_(LOW); };
    h.bitwise_xor_(static_cast<int64_t>(k.a));
    fold(17), times(0xed5ad4bb);
    fold(11), h.add_(static_cast<int64_t>(k.b)).bitwise_and_(LOW);
    times(0xac4c1b51), fold(15), times(0x31848bab), fold(14);
    // The upper half of the unsigned numbers is negative to `threshold`.
    parts.push_back(h.sub_(h.ge(int64_t(1) << 31).to(at::kLong).mul_(run)).ge_(static_cast<int64_t>(d.threshold())).to(at::kBool));
  }
  return (parts.size() == 1 ? parts[0] : at::cat(parts)).view(x.sizes());
}

bool plain_cpu(const Tensor& x) {
  return x.device().is_cpu() && x.scalar_type() == at::kFloat && x.layout() == at::kStrided;
}

Tensor drop_forward(const Dropout& d, const Tensor& x, const Tensor* residual) {
  at::AutoDispatchBelowADInplaceOrView below_autograd;
  if (x.numel() == 0) {
    return residual ? residual->clone() : x.clone();
  }
  if (!plain_cpu(x) || (residual && !plain_cpu(*residual))) {
    Tensor y = at::where(mask_anywhere(d, x), x.mul(d.scale()), at::zeros({}, x.options()));
    return residual ? y.add_(*residual) : y;
  }
  Tensor from = x.contiguous(), add = residual ? residual->contiguous() : Tensor();
  Tensor y = at::empty_like(from);
  drop_cpu(d, from.const_data_ptr<float>(), residual ? add.const_data_ptr<float>() : nullptr, y.mutable_data_ptr<float>(), y.numel());
  return y;
}

Tensor dropout(const Dropout& d, const Tensor& x, const Tensor* residual);

// Keeps three numbers of the forward pass and no tensor.
struct DropoutBackward final : torch::autograd::Node {
  Dropout d{};

  std::string name() const override {
    return "FinetunedDropoutBackward";
  }

  variable_list apply(variable_list&& grads) override {
    Tensor grad = std::move(grads[0]);
    variable_list out(num_outputs());
    if (!grad.defined()) {
      return out;
    }
    if (task_should_compute_output(0)) {
      out[0] = dropout(d, grad, nullptr); // dropout is linear: its derivative is itself, also the second one
    }
    if (1 < num_outputs() && task_should_compute_output(1)) {
      out[1] = grad;
    }
    return out;
  }
};

Tensor dropout(const Dropout& d, const Tensor& x, const Tensor* residual) {
  TORCH_CHECK(0 <= d.p && d.p <= 1, "dropout probability has to be between 0 and 1, but got ", d.p);
  TORCH_CHECK(x.is_floating_point(), "dropout wants a floating-point tensor, but got ", x.scalar_type());
  if (residual) {
    TORCH_CHECK(x.sizes() == residual->sizes(), "dropout_add: x has the shape ", x.sizes(), ", the residual ", residual->sizes());
    TORCH_CHECK(x.scalar_type() == residual->scalar_type(), "dropout_add: x is ", x.scalar_type(), ", the residual ", residual->scalar_type());
  }
  if (d.p == 0) {
    return residual ? x.add(*residual) : x;
  }
  Tensor y = drop_forward(d, x, residual);
  if (residual ? torch::autograd::compute_requires_grad(x, *residual) : torch::autograd::compute_requires_grad(x)) {
    auto node = c10::make_intrusive<DropoutBackward>();
    node->d = d;
    node->set_next_edges(residual ? torch::autograd::collect_next_edges(x, *residual) : torch::autograd::collect_next_edges(x));
    torch::autograd::set_history(y, node);
  }
  return y;
}

} // namespace

extern "C" {

void finetuned_free(char* message) {
  free(message);
}

// `residual` may be null.
char* finetuned_dropout(Tensor** out, const Tensor* x, const Tensor* residual, double p, uint64_t seed, uint64_t stream) {
  return guarded([&] { *out = new Tensor(dropout({p, seed, stream}, *x, residual)); });
}

} // extern "C"
