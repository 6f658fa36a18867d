// Where the memory of large tensors on the CPU comes from, and whether what is freed goes back to the system.
//
// A training step takes and frees the same gigabytes again and again. Given back, they cost a page fault for each
// 4 KiB; kept in the heap, they are cut up by small blocks that lie between them, until twice as much is needed. So
// large blocks have a place of their own, where what is free is joined with its neighbours and cut for whoever comes,
// and whatever would make the process much larger than its tensors ever were goes back to the system.

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <set>
#include <unordered_map>

namespace {

constexpr size_t PAGE = 4096;
// Smaller blocks are malloc's: it is good at them.
constexpr size_t LARGE = 1 << 20;
constexpr size_t ALIGNMENT = 64;
// What waits to be used again may make the process larger than its tensors ever were by this part.
constexpr size_t SLACK = 8;

// Whether the system ever refused memory to this process.
std::atomic<bool> refused = false;

[[noreturn]] void refuse(size_t n) {
  refused = true;
  C10_THROW_ERROR(OutOfMemoryError, c10::str("not enough memory: you tried to allocate ", n, " bytes"));
}

class Pool final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t n) override {
    char* block = n == 0 ? nullptr : n < LARGE ? small(n) : large((n + PAGE - 1) / PAGE * PAGE);
    return {block, block, &release, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override {
    return &release;
  }

  void copy_data(void* dest, const void* src, size_t count) const override {
    default_copy_data(dest, src, count);
  }

 private:
  static char* small(size_t n) {
    void* block = nullptr;
    if (posix_memalign(&block, ALIGNMENT, n) != 0) {
      refuse(n);
    }
    return static_cast<char*>(block);
  }

  // The smallest range that is large enough, else a new one.
  char* large(size_t n) {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = by_size.lower_bound({n, nullptr});
    char* block = nullptr;
    if (found != by_size.end()) {
      auto [size, range] = *found;
      block = range;
      erase(range, size);
      if (n < size) {
        insert(range + n, size - n);
      }
    } else {
      block = map(n);
    }
    blocks.emplace(block, n);
    used += n;
    most = std::max(most, used);
    return block;
  }

  char* map(size_t n) {
    size_t limit = std::max(most, used + n);
    limit += limit / SLACK;
    // The smallest ranges are of the least use.
    while (!by_size.empty() && limit < used + kept + n) {
      unmap(std::min(by_size.begin()->first, used + kept + n - limit));
    }
    void* block = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    while (block == MAP_FAILED && !by_size.empty()) {
      unmap(by_size.begin()->first);
      block = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    if (block == MAP_FAILED) {
      refuse(n);
    }
    return static_cast<char*>(block);
  }

  // The first n bytes of the smallest range.
  void unmap(size_t n) {
    auto [size, range] = *by_size.begin();
    n = (n + PAGE - 1) / PAGE * PAGE;
    erase(range, size);
    munmap(range, n);
    if (n < size) {
      insert(range + n, size - n);
    }
  }

  void insert(char* range, size_t size) {
    by_place.emplace(range, size);
    by_size.emplace(size, range);
    kept += size;
  }

  void erase(char* range, size_t size) {
    by_place.erase(range);
    by_size.erase({size, range});
    kept -= size;
  }

  static void release(void* block);

  // Together with the free ranges on both sides.
  bool take_back(char* block) {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = blocks.find(block);
    if (found == blocks.end()) {
      return false;
    }
    size_t size = found->second;
    blocks.erase(found);
    used -= size;
    auto after = by_place.lower_bound(block);
    if (after != by_place.end() && after->first == block + size) {
      auto [range, more] = *after;
      erase(range, more);
      size += more;
    }
    auto before = by_place.lower_bound(block);
    if (before != by_place.begin()) {
      auto [range, more] = *--before;
      if (range + more == block) {
        erase(range, more);
        block = range;
        size += more;
      }
    }
    insert(block, size);
    return true;
  }

  std::mutex mutex;
  std::unordered_map<char*, size_t> blocks; // large ones, in use
  std::map<char*, size_t> by_place; // free ranges
  std::set<std::pair<size_t, char*>> by_size; // the same
  size_t used = 0, kept = 0; // bytes of both
  size_t most = 0; // that were in use at once
};

// Never destroyed: tensors may outlive everything else.
Pool* const pool = new Pool();

void Pool::release(void* block) {
  if (!pool->take_back(static_cast<char*>(block))) {
    std::free(block);
  }
}

} // namespace

extern "C" {

void finetuned_pool_memory() {
  c10::SetCPUAllocator(pool, /*priority=*/1);
}

bool finetuned_memory_refused() {
  return refused;
}

} // extern "C"
