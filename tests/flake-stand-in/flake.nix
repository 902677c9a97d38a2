# A stand-in for nixpkgs with nothing in it, so that scripts/check-flake can evaluate our flake.nix without a network: every
# package is a derivation that is never built. It proves that our flake is well formed and which attributes it has; that the
# packages exist in nixpkgs and that the build works, it cannot prove.
{
  outputs =
    { self }:
    let
      fake =
        system: name:
        derivation {
          inherit name system;
          builder = "/stand-in";
        };
      names = [
        "OVMF"
        "acl"
        "busybox"
        "cargo"
        "cargo-deny"
        "clippy"
        "curl"
        "dnsmasq"
        "dosfstools"
        "dpkg"
        "e2fsprogs"
        "gptfdisk"
        "iproute2"
        "libcap"
        "mmdebstrap"
        "mtools"
        "nftables"
        "nginx"
        "openssh"
        "qemu"
        "rustc"
        "rustfmt"
        "util-linux"
        "xorriso"
      ];
      lib = {
        genAttrs =
          keys: f:
          builtins.listToAttrs (
            map (name: {
              inherit name;
              value = f name;
            }) keys
          );
        cleanSource = source: source;
        licenses.asl20 = "Apache-2.0";
      };
      packagesOf =
        system:
        lib.genAttrs names (fake system)
        // {
          OVMF = fake system "OVMF" // {
            fd = fake system "OVMF-fd";
          };
          # Both force what a real evaluation would read.
          mkShell = arguments: builtins.deepSeq (map (one: one.name) arguments.packages) (fake system "shell");
          runCommand = name: _: _: fake system name;
          rustPlatform.buildRustPackage =
            arguments:
            assert builtins.pathExists arguments.cargoLock.lockFile;
            builtins.deepSeq (map (one: one.name) (
              (arguments.nativeCheckInputs or [ ]) ++ (arguments.nativeBuildInputs or [ ])
            )) (fake system "${arguments.pname}-${arguments.version}");
        };
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ] packagesOf;
    };
}
