// What tch leaves out of libtorch, as C functions for `ffi.rs`.
//
// Every function returns null, or a message that the caller gives back to finetuned_free: no exception
// leaves this file. Tensors are the same `at::Tensor *` as tch's; an output is a new one that the caller owns.

#include <ATen/ATen.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/saved_variable.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>

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

// `x` where the hash is not below the threshold, else 0; without a branch, which would not be vectorised.
inline __attribute__((always_inline)) float keep(float x, uint32_t hash, int32_t threshold) {
  uint32_t mask = 0u - static_cast<uint32_t>(static_cast<int32_t>(hash) >= threshold);
  return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & mask);
}

EVERY_X86 void drop(const float* __restrict x, float* __restrict y, uint32_t first, uint32_t n, Keys k, int32_t threshold, float scale) {
  for (uint32_t j = 0; j < n; ++j) {
    y[j] = keep(x[j] * scale, hash(first + j, k), threshold);
  }
}

EVERY_X86 void drop_add(
    const float* __restrict x, const float* __restrict r, float* __restrict y, uint32_t first, uint32_t n, Keys k, int32_t threshold, float scale) {
  for (uint32_t j = 0; j < n; ++j) {
    y[j] = keep(x[j] * scale, hash(first + j, k), threshold) + r[j];
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

// ---- gradient checkpointing -------------------------------------------------------------------------

// What computes a part of a model, on the other side of the border. It is called by one thread at a time.
struct Part final {
  void* closure;
  // Stores a new tensor, or returns a message that finetuned_free takes.
  char* (*run)(void* closure, bool again, const Tensor* x, Tensor** y);
  void (*drop)(void* closure);

  Part(void* closure, decltype(run) run, decltype(drop) drop) : closure(closure), run(run), drop(drop) {}
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() {
    drop(closure);
  }

  Tensor operator()(bool again, const Tensor& x) const {
    Tensor* out = nullptr;
    if (char* message = run(closure, again, &x, &out)) {
      std::string text(message);
      free(message);
      throw std::runtime_error(text);
    }
    std::unique_ptr<Tensor> y(out);
    return *y;
  }
};

// Keeps what the part was given, and runs it once more for its gradients. Parameters within the part get theirs
// then, as from a backward pass of its own.
struct CheckpointBackward final : torch::autograd::Node {
  std::unique_ptr<Part> part;
  torch::autograd::SavedVariable input;

  std::string name() const override {
    return "FinetunedCheckpointBackward";
  }

  variable_list apply(variable_list&& grads) override {
    variable_list out(1);
    if (!grads[0].defined()) {
      return out;
    }
    TORCH_CHECK(part, "a part of a model that is computed again was already freed by a backward pass");
    const bool wanted = task_should_compute_output(0);
    Tensor x = input.unpack().detach();
    x.set_requires_grad(wanted);
    Tensor y;
    {
      c10::AutoGradMode with_graph(true);
      y = (*part)(true, x);
    }
    if (y.requires_grad()) {
      torch::autograd::backward({y}, {grads[0]});
    }
    if (wanted) {
      out[0] = x.grad();
    }
    return out;
  }

  void release_variables() override {
    input.reset_data();
    part.reset();
  }
};

Tensor checkpoint(std::unique_ptr<Part> part, const Tensor& x) {
  if (!c10::GradMode::is_enabled()) {
    return (*part)(false, x);
  }
  Tensor y;
  {
    at::NoGradGuard without_graph;
    y = (*part)(false, x).detach();
  }
  // Parameters within may want gradients where `x` does not.
  auto node = c10::make_intrusive<CheckpointBackward>();
  node->input = torch::autograd::SavedVariable(x, /*is_output=*/false);
  node->part = std::move(part);
  node->set_next_edges(torch::autograd::collect_next_edges(x));
  torch::autograd::set_history(y, node);
  return y;
}

// ---- linear maps ------------------------------------------------------------------------------------

// Whether linear maps that are made now round what they multiply.
std::atomic<bool> rounding{false};

// libtorch's own switch stands for the whole process and slows small products down, those within attention
// among them: it is on only as long as one product takes.
struct Rounded final {
  Rounded() {
    all(at::Float32Precision::BF16, at::Float32Precision::TF32);
  }
  Rounded(const Rounded&) = delete;
  Rounded& operator=(const Rounded&) = delete;
  ~Rounded() {
    all(at::Float32Precision::IEEE, at::Float32Precision::IEEE);
  }

  static void all(at::Float32Precision cpu, at::Float32Precision cuda) {
    at::globalContext().setFloat32Precision(at::Float32Backend::MKLDNN, at::Float32Op::MATMUL, cpu);
    at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL, cuda);
  }
};

// Fewer rows are not worth it, nor are the few outputs of a head, which nothing that follows adds up: what rounding
// does to them would not be evened out.
constexpr int64_t ROWS_MIN = 64, OUTPUTS_MIN = 32;

// These rows (n, width) and zeros below them, so that there are eight numbers of rows at most between one power of
// two and the next: oneDNN compiles kernels for each that it meets, and keeps them for ever.
Tensor padded(const Tensor& rows) {
  const int64_t n = rows.size(0), step = std::max<int64_t>(std::bit_floor(static_cast<uint64_t>(n)) / 8, 1);
  const int64_t missing = (step - n % step) % step;
  return missing == 0 ? rows : at::constant_pad_nd(rows, {0, 0, 0, missing});
}

// The gradients of a linear map by products that are rounded as its own was, of numbers as wide as its own were.
struct LinearBackward final : torch::autograd::Node {
  torch::autograd::SavedVariable input, weight; // the input only where the weight trains
  std::vector<int64_t> sizes; // of the input
  bool rounds = true;

  std::string name() const override {
    return "FinetunedLinearBackward";
  }

  variable_list apply(variable_list&& grads) override {
    variable_list out(num_outputs());
    if (!grads[0].defined()) {
      return out;
    }
    at::NoGradGuard once;
    const Tensor w = weight.unpack();
    const Tensor grad = grads[0].reshape({-1, w.size(0)}), rows = rounds ? padded(grad) : grad;
    std::optional<Rounded> rounded;
    if (rounds) {
      rounded.emplace();
    }
    if (task_should_compute_output(0)) {
      out[0] = rows.mm(w.to(rows.scalar_type())).narrow(0, 0, grad.size(0)).view(sizes);
    }
    if (task_should_compute_output(1)) {
      out[1] = rows.t().mm(padded(input.unpack().reshape({-1, w.size(1)})));
    }
    if (2 < num_outputs() && task_should_compute_output(2)) {
      out[2] = grad.sum(0);
    }
    return out;
  }

  void release_variables() override {
    input.reset_data();
    weight.reset_data();
  }
};

Tensor linear_map(const Tensor& x, const Tensor& w, const std::optional<Tensor>& b) {
  // Stored in half the bits, it is widened for each product, and again for that of the gradients: it is never there
  // as a whole for longer.
  const bool packed = x.scalar_type() == at::kFloat && (w.scalar_type() == at::kBFloat16 || w.scalar_type() == at::kHalf);
  TORCH_CHECK(!packed || !w.requires_grad(), "a weight that is stored in half the bits has no gradients");
  const bool fits = x.scalar_type() == at::kFloat && (packed || w.scalar_type() == at::kFloat) && w.dim() == 2 &&
      0 < w.size(1) && 0 < x.dim() && x.size(-1) == w.size(1);
  const bool rounds = rounding.load() && fits && ROWS_MIN <= x.numel() / w.size(1) && OUTPUTS_MIN <= w.size(0);
  if (!rounds && !(packed && fits)) {
    return at::linear(x, w, b);
  }
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = w.size(0);
  Tensor y;
  {
    at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Tensor rows = x.reshape({-1, w.size(1)}), wide = w.to(at::kFloat);
    if (rounds) {
      Rounded rounded;
      y = at::linear(padded(rows), wide, b).narrow(0, 0, rows.size(0)).view(sizes);
    } else {
      y = at::linear(rows, wide, b).view(sizes);
    }
  }
  if (torch::autograd::compute_requires_grad(x, w, b)) {
    auto node = c10::make_intrusive<LinearBackward>();
    if (w.requires_grad()) {
      node->input = torch::autograd::SavedVariable(x, /*is_output=*/false);
    }
    node->sizes = x.sizes().vec();
    node->weight = torch::autograd::SavedVariable(w, /*is_output=*/false);
    node->rounds = rounds;
    node->set_next_edges(b ? torch::autograd::collect_next_edges(x, w, *b) : torch::autograd::collect_next_edges(x, w));
    torch::autograd::set_history(y, node);
  }
  return y;
}

// ---- optimizers and gradients -----------------------------------------------------------------------

std::vector<Tensor> list(const Tensor* const* tensors, size_t n) {
  std::vector<Tensor> all;
  all.reserve(n);
  for (size_t i = 0; i < n; ++i) {
    all.push_back(*tensors[i]);
  }
  return all;
}

// The gradients of parameters that have one, in memory as the parameters are: the fused kernels walk both
// with one pointer.
std::vector<Tensor> gradients(const std::vector<Tensor>& parameters) {
  std::vector<Tensor> all;
  all.reserve(parameters.size());
  for (const Tensor& it : parameters) {
    const Tensor& grad = it.grad();
    TORCH_CHECK(grad.defined(), "a parameter has no gradient");
    TORCH_CHECK(grad.layout() == at::kStrided, "a gradient is sparse, which the fused optimizers cannot use");
    TORCH_CHECK(it.is_non_overlapping_and_dense(), "a parameter is not dense in memory");
    all.push_back(grad.strides() == it.strides() ? grad : at::empty_like(it).copy_(grad));
  }
  return all;
}

// ---- generators -------------------------------------------------------------------------------------

// That of the CPU, then those of the CUDA devices.
std::vector<at::Generator> generators() {
  std::vector<at::Generator> all{at::detail::getDefaultCPUGenerator()};
  if (at::hasCUDA()) {
    for (int i = 0; i < at::detail::getCUDAHooks().deviceCount(); ++i) {
      all.push_back(at::globalContext().defaultGenerator(at::Device(at::kCUDA, static_cast<at::DeviceIndex>(i))));
    }
  }
  return all;
}

Tensor generator_state(at::Generator generator) {
  std::lock_guard<std::mutex> lock(generator.mutex());
  return generator.get_state();
}

} // namespace

extern "C" {

void finetuned_free(char* message) {
  free(message);
}

// A copy of `length` bytes as a message.
char* finetuned_message(const char* text, size_t length) {
  return strndup(text, length);
}

// What `run` gives for `x`, without what it computes on the way: it runs again in the backward pass. `closure` is
// given to `drop` when nobody wants it any more, whatever happens.
char* finetuned_checkpoint(
    Tensor** out, const Tensor* x, void* closure, char* (*run)(void*, bool, const Tensor*, Tensor**), void (*drop)(void*)) {
  return guarded([&] { *out = new Tensor(checkpoint(std::make_unique<Part>(closure, run, drop), *x)); });
}

// `b` may be null.
char* finetuned_linear(Tensor** out, const Tensor* x, const Tensor* w, const Tensor* b) {
  return guarded([&] { *out = new Tensor(linear_map(*x, *w, b ? std::make_optional(*b) : std::nullopt)); });
}

void finetuned_round_factors(bool on) {
  rounding.store(on);
}

// `residual` may be null.
char* finetuned_dropout(Tensor** out, const Tensor* x, const Tensor* residual, double p, uint64_t seed, uint64_t stream) {
  return guarded([&] { *out = new Tensor(dropout({p, seed, stream}, *x, residual)); });
}

// One step of AdamW (`decoupled` weight decay) or Adam for parameters that all have a gradient. The n-th
// parameter has the n-th of each state tensor.
char* finetuned_adam(
    bool decoupled, const Tensor* const* parameters, const Tensor* const* exp_avgs, const Tensor* const* exp_avg_sqs,
    const Tensor* const* steps, size_t n, double lr, double beta1, double beta2, double eps, double weight_decay) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<Tensor> ps = list(parameters, n), ms = list(exp_avgs, n), vs = list(exp_avg_sqs, n), ts = list(steps, n);
    std::vector<Tensor> gs = gradients(ps);
    at::_foreach_add_(ts, 1);
    auto update = [&](auto fused) { fused(ps, gs, ms, vs, at::TensorList{}, ts, lr, beta1, beta2, weight_decay, eps, false, false); };
    if (decoupled) {
      update([](auto&&... it) { at::_fused_adamw_(it...); });
    } else {
      update([](auto&&... it) { at::_fused_adam_(it...); });
    }
  });
}

// One step of SGD for parameters that all have a gradient. With `momentum` 0, `buffers` is not read. New
// buffers are zero, which for dampening 0 is what torch does with its `is_first_step`.
char* finetuned_sgd(
    const Tensor* const* parameters, const Tensor* const* buffers, size_t n, double lr, double momentum, bool nesterov, double weight_decay) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<Tensor> ps = list(parameters, n), bs = momentum == 0 ? std::vector<Tensor>() : list(buffers, n);
    std::vector<Tensor> gs = gradients(ps);
    at::_fused_sgd_(ps, gs, bs, weight_decay, momentum, lr, /*dampening=*/0, nesterov, /*maximize=*/false, /*is_first_step=*/false);
  });
}

// L2 norm over the gradients of all parameters that have one; where `max` is not null, they are scaled as
// torch.nn.utils.clip_grad_norm_ does.
char* finetuned_clip(double* norm, const Tensor* const* parameters, size_t n, const double* max) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    std::vector<Tensor> grads;
    for (size_t i = 0; i < n; ++i) {
      if (parameters[i]->grad().defined()) {
        grads.push_back(parameters[i]->grad());
      }
    }
    if (grads.empty()) {
      *norm = 0;
      return;
    }
    std::vector<Tensor> norms = at::_foreach_norm(grads, 2);
    for (Tensor& it : norms) {
      it = it.to(norms[0].options());
    }
    Tensor total = at::linalg_vector_norm(at::stack(norms), 2);
    *norm = total.item<double>();
    if (max) {
      Tensor factor = total.add(1e-6).reciprocal_().mul_(*max).clamp_max_(1);
      if (factor.item<double>() != 1) { // NaN too: it must spread as it does in torch
        for (Tensor& it : grads) {
          it.mul_(factor.to(it.device()));
        }
      }
    }
  });
}

// Gradients become undefined and their memory free.
char* finetuned_zero_grad(const Tensor* const* parameters, size_t n) {
  return guarded([&] {
    for (size_t i = 0; i < n; ++i) {
      parameters[i]->mutable_grad().reset();
    }
  });
}

char* finetuned_generator_state(Tensor** out) {
  return guarded([&] {
    std::vector<Tensor> parts;
    for (const at::Generator& it : generators()) {
      parts.push_back(generator_state(it));
    }
    *out = new Tensor(at::cat(parts));
  });
}

char* finetuned_set_generator_state(const Tensor* state) {
  return guarded([&] {
    TORCH_CHECK(state->scalar_type() == at::kByte && state->dim() == 1, "a generator state is a row of bytes");
    int64_t at = 0;
    for (at::Generator it : generators()) {
      int64_t length = generator_state(it).numel();
      if (at == state->numel()) {
        break; // saved on a machine with fewer devices
      }
      TORCH_CHECK(at + length <= state->numel(), "a generator state ends after ", state->numel() - at, " of ", length, " bytes");
      std::lock_guard<std::mutex> lock(it.mutex());
      it.set_state(state->narrow(0, at, length).cpu().clone());
      at += length;
    }
  });
}

// ---- the process ------------------------------------------------------------------------------------

// As TORCH_ABI_VERSION: major, minor and patch in the three highest bytes. Asks the library, not the headers.
uint64_t finetuned_version() {
  return aoti_torch_abi_version();
}

// True where the processor can. Each thread has its own switch, so those of the pool are told too.
bool finetuned_flush_denormal(bool on) {
  int threads = at::get_num_threads();
  at::parallel_for(0, threads, 1, [&](int64_t, int64_t) { at::globalContext().setFlushDenormal(on); });
  return at::globalContext().setFlushDenormal(on);
}

} // extern "C"
