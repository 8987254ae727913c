// The keys that model clients work on: few, so that they meet; with a name that sorts between a key
// and what is below it, and with the paths of the locks, so that a watch of both sees both.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace holdfast::sim {

inline constexpr std::array<const char*, 12> kKeyPaths = {
    "/k",       "/k/a",  "/k/b",  "/k/a/x",  "/k/a/y",  "/k/b/x",
    "/k/a/x/1", "/k/a!", "/lock", "/lock/0", "/lock/1", "/sem",
};

/// Of Op::path; any number is one of them.
inline std::string key_path(int64_t number) {
  return kKeyPaths[static_cast<size_t>(number) % kKeyPaths.size()];
}

/// What is watched may be the root too.
inline std::string watched_path(int64_t number) { return number == 0 ? "/" : key_path(number - 1); }

}  // namespace holdfast::sim
