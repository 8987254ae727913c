// Objects with stable addresses that are used again instead of freed, with the buffers they own.
#pragma once

#include <deque>
#include <vector>

namespace holdfast {

/// T has clear(), which makes a used object as good as new.
template <class T>
class Pool {
 public:
  T* take() {
    if (free_.empty()) return &objects_.emplace_back();
    T* object = free_.back();
    free_.pop_back();
    return object;
  }
  void give_back(T* object) {
    object->clear();
    free_.push_back(object);
  }
  /// All that there ever were, those given back among them.
  const std::deque<T>& objects() const { return objects_; }

 private:
  std::deque<T> objects_;
  std::vector<T*> free_;
};

}  // namespace holdfast
