// The fields of one JSON object of a history; what was not taken by the end is refused.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>

namespace holdfast::history {

using Json = nlohmann::json;
template <class T>
using Names = std::map<std::string, T>;

constexpr uint64_t kNumberMax = uint64_t{1} << 53;

/// What is wrong with a line, in words.
struct Malformed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Fields {
 public:
  Fields(const Json& object, std::string what) : object_(object), what_(std::move(what)) {
    if (!object.is_object()) throw Malformed(what_ + " is not an object");
  }

  const Json* find(const char* key) {
    const auto at = object_.find(key);
    if (at == object_.end()) return nullptr;
    ++taken_;
    return &*at;
  }

  const Json& need(const char* key) {
    const Json* value = find(key);
    if (value == nullptr) throw Malformed(what_ + " has no '" + key + "'");
    return *value;
  }

  template <class T>
  void number(const char* key, T& out) {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_number_integer() || *value < -1 || *value > kNumberMax ||
        (std::is_unsigned_v<T> && *value < 0)) {
      throw Malformed("'" + std::string(key) + "' is " + value->dump() +
                      ", not a whole number from 0 to 2^53");
    }
    out = value->get<T>();
  }

  void string(const char* key, std::string& out) {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_string()) throw Malformed("'" + std::string(key) + "' is not a string");
    out = value->get<std::string>();
  }

  void boolean(const char* key, bool& out) {
    const Json* value = find(key);
    if (value == nullptr) return;
    if (!value->is_boolean()) throw Malformed("'" + std::string(key) + "' is not true or false");
    out = value->get<bool>();
  }

  template <class T>
  void name(const char* key, const Names<T>& names, T& out) {
    std::string text;
    string(key, text);
    if (text.empty()) return;
    const auto at = names.find(text);
    if (at == names.end()) throw Malformed("'" + std::string(key) + "' is unknown: '" + text + "'");
    out = at->second;
  }

  void done() const {
    if (taken_ == object_.size()) return;
    throw Malformed(what_ + " has a field that this call does not have or that stands there twice");
  }

 private:
  const Json& object_;
  const std::string what_;
  size_t taken_ = 0;
};

}  // namespace holdfast::history
