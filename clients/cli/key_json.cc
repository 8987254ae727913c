#include "clients/cli/key_json.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;

bool is_utf8(const std::string& bytes) {
  try {
    static_cast<void>(json(bytes).dump());
    return true;
  } catch (const json::type_error&) {
    return false;
  }
}

std::string base64(const std::string& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t at = 0; at < bytes.size(); at += 3) {
    const size_t left = bytes.size() - at;
    uint32_t group = 0;
    for (size_t i = 0; i < 3; ++i) {
      group = group << 8 | (i < left ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    }
    for (size_t i = 0; i < 4; ++i) {
      out += i <= left ? kDigits[group >> (18 - 6 * i) & 63] : '=';
    }
  }
  return out;
}

}  // namespace

void add_bytes(json& to, const std::string& name, const std::string& bytes) {
  if (is_utf8(bytes)) {
    to[name] = bytes;
  } else {
    to[name + "_base64"] = base64(bytes);
  }
}

const char* kind_name(api::KeyKind::type kind) {
  switch (kind) {
    case api::KeyKind::EPHEMERAL:
      return "ephemeral";
    case api::KeyKind::CONTAINER:
      return "container";
    case api::KeyKind::TTL:
      return "ttl";
    default:
      return "persistent";
  }
}

json to_json(const api::KeyEntry& key, bool with_value) {
  const api::KeyStat& stat = key.stat;
  json out = {{"path", key.path},
              {"kind", kind_name(stat.kind)},
              {"version", stat.version},
              {"create_revision", stat.createRevision},
              {"modify_revision", stat.modifyRevision},
              {"children", stat.childCount},
              {"children_version", stat.childrenVersion},
              {"children_revision", stat.childrenRevision},
              {"ephemeral_owner", stat.ephemeralOwner},
              {"created_unix_ms", stat.createdUnixMs},
              {"modified_unix_ms", stat.modifiedUnixMs},
              {"value_bytes", stat.valueBytes},
              {"ttl_ms", stat.ttlMs}};
  if (with_value) add_bytes(out, "value", key.value);
  return out;
}

}  // namespace holdfast::cli
