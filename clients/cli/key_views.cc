// ls, tree.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "clients/cli/commands.h"
#include "clients/cli/exit_codes.h"
#include "clients/cli/key_args.h"
#include "clients/cli/key_json.h"
#include "clients/cli/table.h"

namespace holdfast::cli {
namespace {

using nlohmann::json;
using Keys = std::vector<api::KeyEntry>;

/// All pages below words[0], or the root; the exit code, 0 if it went well.
int list_keys(const Args& args, const Context& context, bool subtree, Keys& keys) {
  if (args.words.size() > 1) {
    return report(Error{ErrorCode::kBadArgument, "\"" + args.words[1] + "\" is one word too many"});
  }
  const auto path = args.words.empty() ? Result<std::string>("/") : key_path(args, true);
  if (!path) return report(path.error());
  const auto least = min_revision_of(args);
  if (!least) return report(least.error());
  auto remote = Remote::connect(context.servers, context.timeout, true);
  if (!remote) return report(remote.error());
  api::ListKeysRequest request;
  request.path = *path;
  request.subtree = subtree;
  request.pageSize = 1'000;
  request.withValues = args.has("values");
  request.consistency = consistency_of(args);
  do {
    auto page = (*remote)->read<client::ListKeys>(request, *least);
    if (!page && page.error().code == ErrorCode::kNoKey) return no_key(*path);
    if (!page) return report(page.error());
    std::move(page->keys.begin(), page->keys.end(), std::back_inserter(keys));
    request.page = page->nextPage;
  } while (!request.page.empty());
  return kExitOk;
}

void print_as_json(const Keys& keys, bool with_values) {
  json all = json::array();
  for (const api::KeyEntry& key : keys) all.push_back(to_json(key, with_values));
  print_json(all);
}

void print_table(const Keys& keys, bool with_values) {
  std::vector<std::string> heads = {"KIND", "VERSION", "BYTES", "CHILDREN", "MODIFIED", "PATH"};
  if (with_values) heads.push_back("VALUE");
  Table table(heads);
  for (const api::KeyEntry& key : keys) {
    std::vector<std::string> row = {kind_name(key.stat.kind),
                                    std::to_string(key.stat.version),
                                    std::to_string(key.stat.valueBytes),
                                    std::to_string(key.stat.childCount),
                                    format_time(key.stat.modifiedUnixMs),
                                    printable(key.path)};
    if (with_values) row.push_back(excerpt(key.value));
    table.add(std::move(row));
  }
  std::printf("%s", table.text().c_str());
}

void print_paths(const Keys& keys, bool with_values) {
  for (const api::KeyEntry& key : keys) {
    const std::string value = with_values ? " = " + excerpt(key.value) : "";
    std::printf("%s%s\n", printable(key.path).c_str(), value.c_str());
  }
}

/// The names, each below and right of its parent.
void print_tree(const Keys& keys, const std::string& top, bool with_values) {
  std::printf("%s\n", top.c_str());
  const size_t above =
      top == "/" ? 0 : static_cast<size_t>(std::count(top.begin(), top.end(), '/'));
  for (const api::KeyEntry& key : keys) {
    const std::string& path = key.path;
    const size_t depth = static_cast<size_t>(std::count(path.begin(), path.end(), '/')) - above;
    const std::string name = printable(path.substr(path.rfind('/') + 1));
    const std::string kind = key.stat.kind == api::KeyKind::PERSISTENT
                                 ? ""
                                 : std::string("  (") + kind_name(key.stat.kind) + ")";
    const std::string value = with_values ? " = " + excerpt(key.value) : "";
    std::printf("%*s%s%s%s\n", static_cast<int>(2 * depth), "", name.c_str(), value.c_str(),
                kind.c_str());
  }
}

}  // namespace

int ls_command(const Args& args, const Context& context) {
  Keys keys;
  if (const int code = list_keys(args, context, false, keys); code != kExitOk) return code;
  if (context.json) {
    print_as_json(keys, args.has("values"));
  } else if (args.has("long")) {
    print_table(keys, args.has("values"));
  } else {
    print_paths(keys, args.has("values"));
  }
  return kExitOk;
}

int tree_command(const Args& args, const Context& context) {
  Keys keys;
  if (const int code = list_keys(args, context, true, keys); code != kExitOk) return code;
  if (context.json) {
    print_as_json(keys, args.has("values"));
  } else {
    print_tree(keys, args.words.empty() ? "/" : args.words[0], args.has("values"));
  }
  return kExitOk;
}

}  // namespace holdfast::cli
