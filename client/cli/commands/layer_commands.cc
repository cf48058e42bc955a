// The command `layers`: upload, create, list, describe and delete stored layers.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/commands/command_output.h"
#include "client/cli/commands/commands.h"
#include "client/cli/commands/progress_bar.h"
#include "client/cli/display_text.h"
#include "client/cli/files/json_text.h"
#include "client/cli/files/protobuf_json.h"
#include "client/cli/files/request_file.h"

namespace attention::client {
namespace {

absl::Status Usage(absl::string_view what) { return absl::InvalidArgumentError(what); }

// Parses NAME or NAME@VERSION.
absl::StatusOr<v1::LayerRef> ParseRef(const std::string& text) {
  v1::LayerRef ref;
  const size_t at = text.find('@');
  ref.set_name(text.substr(0, at));
  int64_t version = 0;
  if (at != text.npos && (!absl::SimpleAtoi(text.substr(at + 1), &version) || version < 1)) {
    return Usage(absl::StrCat("\"", text, "\" is no NAME or NAME@VERSION"));
  }
  ref.set_version(version);
  return ref;
}

std::string Sizes(const v1::Layer& layer) {
  if (layer.has_encoder()) {
    return absl::StrCat(layer.encoder().num_layers(), " x ", layer.d_model(), ", ",
                        layer.num_heads(), " heads");
  }
  return absl::StrCat(layer.d_model(), ", ", layer.num_heads(), " heads");
}

std::string FormatRow(const v1::Layer& layer) {
  const std::string name = absl::StrCat(EscapeControls(layer.name()), "@", layer.version());
  if (!layer.problem().empty()) {
    return absl::StrFormat("%-24s cannot be used: %s\n", name, EscapeControls(layer.problem()));
  }
  constexpr double kMib = 1 << 20;
  return absl::StrFormat("%-24s %-9s %-22s %9.1f MiB  %9.1f MiB resident  %s\n", name,
                         layer.has_encoder() ? "encoder" : "attention", Sizes(layer),
                         static_cast<double>(layer.file_bytes()) / kMib,
                         static_cast<double>(layer.resident_bytes()) / kMib,
                         EscapeControls(layer.sha256().substr(0, 12)));
}

ExitCode List(const AttentionClient& client, std::ostream& out, std::ostream& err) {
  const absl::StatusOr<std::vector<v1::Layer>> layers = client.ListLayers();
  if (!layers.ok()) return ReportFailure(layers.status(), err);
  for (const v1::Layer& layer : *layers) out << FormatRow(layer);
  if (layers->empty()) out << "no layers\n";
  return kExitOk;
}

ExitCode Finish(const absl::StatusOr<v1::Layer>& layer, bool json, std::ostream& out,
                std::ostream& err) {
  if (!layer.ok()) return ReportFailure(layer.status(), err);
  if (json) return PrintJson(*layer, out, err);
  out << FormatRow(*layer);
  return kExitOk;
}

// Checks that the model is not a PyTorch checkpoint, and that there is no checkpoint in its place.
absl::Status CheckIsNoTorchFile(const std::filesystem::path& model) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  const bool is_there = fs::exists(model, ignored);
  const fs::path checkpoint = is_there ? model : model.parent_path() / "pytorch_model.bin";
  if (!fs::is_regular_file(checkpoint, ignored)) return absl::OkStatus();
  std::string start(4, '\0');  // torch.save writes a zip archive, before PyTorch 1.6 a pickle
  std::ifstream(checkpoint, std::ios::binary).read(start.data(), 4);
  if (start != "PK\3\4" && !absl::StartsWith(start, "\x80\2")) return absl::OkStatus();
  return Usage(absl::StrCat(
      checkpoint.string(),
      " is a PyTorch checkpoint; want a safetensors file. To make one, in its folder:\n"
      "python3 -c \"import torch; from safetensors.torch import save_file; save_file({k: "
      "v.contiguous().clone() for k, v in torch.load('",
      checkpoint.filename().string(),
      "', map_location='cpu', weights_only=True).items()}, 'model.safetensors')\""));
}

ExitCode Upload(const AttentionClient& client, const CommandOptions& options, std::ostream& out,
                std::ostream& err) {
  namespace fs = std::filesystem;
  const std::vector<std::string>& words = options.arguments;
  fs::path model = words[2], config;
  if (words.size() == 4) {
    config = words[3];
  } else {
    config = model / "config.json";
    model /= "model.safetensors";
  }
  const absl::StatusOr<std::string> text = ReadTextFile(config.string());
  if (!text.ok()) return ReportUsage(text.status(), err);
  const absl::Status usable = CheckIsNoTorchFile(model);
  if (!usable.ok()) return ReportUsage(usable, err);
  std::error_code no_size;
  const uintmax_t bytes = fs::file_size(model, no_size);
  if (no_size) {
    return ReportUsage(absl::NotFoundError(absl::StrCat(model.string(), ": ", no_size.message())),
                       err);
  }
  v1::UploadLayerHeader header;
  header.set_name(words[1]);
  header.set_config_json(*text);
  header.set_file_bytes(static_cast<int64_t>(bytes));
  const auto upload = [&] {
    ProgressBar bar(options.progress ? &err : nullptr, EscapeControls(words[1]),
                    header.file_bytes());
    return client.UploadLayerFile(header, model.string(), std::nullopt,
                                  [&bar](int64_t sent) { bar.Update(sent); });
  };
  return Finish(upload(), options.json, out, err);
}

ExitCode Create(const AttentionClient& client, const CommandOptions& options, std::ostream& out,
                std::ostream& err) {
  const std::string& path = options.arguments[1];
  const absl::StatusOr<std::string> text = ReadTextFile(path);
  if (!text.ok()) return ReportUsage(text.status(), err);
  absl::StatusOr<nlohmann::json> json = ParseJson(*text, path);
  if (!json.ok()) return ReportUsage(json.status(), err);
  v1::CreateLayerRequest request;
  absl::Status status = FromFriendlyJson(*std::move(json), {}, path, request);
  if (!status.ok()) return ReportUsage(status, err);
  return Finish(client.CreateLayer(request), options.json, out, err);
}

}  // namespace

ExitCode RunLayers(const CommandOptions& options, std::ostream& out, std::ostream& err) {
  const absl::StatusOr<AttentionClient> client = AttentionClient::Create(options.client);
  if (!client.ok()) return ReportUsage(client.status(), err);
  const std::vector<std::string>& words = options.arguments;
  const std::string action = words.empty() ? "" : words[0];
  if (action == "list" && words.size() == 1) return List(*client, out, err);
  if (action == "upload" && (words.size() == 3 || words.size() == 4)) {
    return Upload(*client, options, out, err);
  }
  if (action == "create" && words.size() == 2) return Create(*client, options, out, err);
  if ((action == "get" || action == "delete") && words.size() == 2) {
    const absl::StatusOr<v1::LayerRef> ref = ParseRef(words[1]);
    if (!ref.ok()) return ReportUsage(ref.status(), err);
    if (action == "get") {
      return Finish(client->GetLayer(ref->name(), ref->version()), true, out, err);
    }
    const absl::Status status = client->DeleteLayer(ref->name(), ref->version());
    if (!status.ok()) return ReportFailure(status, err);
    out << "deleted " << EscapeControls(words[1]) << "\n";
    return kExitOk;
  }
  return ReportUsage(
      Usage("want layers list, get NAME[@VERSION], upload NAME FOLDER, upload NAME MODEL CONFIG, "
            "create FILE.json or delete NAME[@VERSION]"),
      err);
}

}  // namespace attention::client
