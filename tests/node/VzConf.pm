# How vzctl 4 reads and rewrites its configuration files; shared by the stand-ins vzctl and vzlist.
package VzConf;
use strict;
use warnings;

our $LONG_MAX = 9223372036854775807;
our $CONF_DIR = '/etc/vz/conf';
our $NAMES_DIR = '/etc/vz/names';

# Resources with a barrier and a limit, in the order in which vzlist prints them; the unit is what a number without a
# suffix counts.
our @UBC = (
    [kmemsize => 'bytes'], [lockedpages => 'pages'], [privvmpages => 'pages'], [shmpages => 'pages'],
    [numproc => 'items'], [physpages => 'pages'], [vmguarpages => 'pages'], [oomguarpages => 'pages'],
    [numtcpsock => 'items'], [numflock => 'items'], [numpty => 'items'], [numsiginfo => 'items'],
    [tcpsndbuf => 'bytes'], [tcprcvbuf => 'bytes'], [othersockbuf => 'bytes'], [dgramrcvbuf => 'bytes'],
    [numothersock => 'items'], [dcachesize => 'bytes'], [numfile => 'items'], [numiptent => 'items'],
    [swappages => 'pages'],
);
our %UNIT = map { uc $_->[0] => $_->[1] } @UBC;
our %ALIAS = (DCACHE => 'DCACHESIZE', IPTENTRIES => 'NUMIPTENT');

our @FEATURES = qw(sysfs nfs sit ipip ppp ipgre bridge nfsd);
# In the order of the kernel's bits.
our @CAPABILITIES = qw(
    chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service
    net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
    sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease setveid ve_admin);

# One physical line: backslashes go first, then blanks at the end; the value runs to the last quote of the line. There
# are no continuation lines, no single quotes and no comments behind a value.
sub parse_line {
    my ($line) = @_;
    $line =~ s/\n\z//;
    $line =~ s/\\(.?)/$1/gs;
    $line =~ s/^\s+//;
    return if $line eq '' or $line =~ /^#/;
    $line =~ s/\s+\z//;
    my $at = index $line, '=';
    return if $at < 0;
    my ($name, $value) = (substr($line, 0, $at), substr($line, $at + 1));
    if ($value =~ /^"/) {
        my $end = rindex $value, '"';
        return if $end == 0;
        $value = substr $value, 1, $end - 1;
    }
    return ($name, $value);
}

# A number with a suffix, in units; undef when it is invalid. An empty value is 0, a negative one unlimited.
sub number {
    my ($text, $unit) = @_;
    $text =~ s/^\s+//;
    return 0 if $text eq '';
    return $LONG_MAX if lc $text eq 'unlimited';
    return $LONG_MAX if $text =~ /^-\d+$/;
    my %size = (T => 1024**4, G => 1024**3, M => 1024**2, K => 1024, P => 4096, B => 1);
    my %divisor = (bytes => 1, pages => 4096, kib => 1024, inodes => 1);
    my ($n, $suffix) = $text =~ /^(\d+(?:\.\d*)?)([TGMKPB]?)$/i or return undef;
    if ($suffix ne '') {
        return undef unless exists $divisor{$unit};
        $n = int($n * $size{uc $suffix} / $divisor{$unit});
    }
    return $n >= 9.2233720368547e18 ? $LONG_MAX : int $n;
}

sub pair {
    my ($text, $unit) = @_;
    my ($barrier, $limit) = $text =~ /^([^:]*):(.*)$/s ? ($1, $2) : ($text, $text);
    ($barrier, $limit) = (number($barrier, $unit), number($limit, $unit));
    return defined $barrier && defined $limit ? [$barrier, $limit] : undef;
}

# Reads a file into { NAME => value }: a pair for what has two numbers, a list for what accumulates, a hash for words
# with on and off, a text for the rest. What is wrong goes to $warn.
sub load {
    my ($path, $warn) = @_;
    open my $in, '<', $path or return undef;
    my %p;
    while (my $line = <$in>) {
        my ($name, $value) = parse_line($line) or next;
        $name = $ALIAS{$name} if exists $ALIAS{$name};
        set(\%p, $name, $value, $warn);
    }
    return \%p;
}

my %WORDS = map { $_ => 1 } qw(FEATURES CAPABILITY);
my %LISTS = map { $_ => 1 } qw(IP_ADDRESS NAMESERVER SEARCHDOMAIN);
my %BOOLS = map { $_ => 1 } qw(ONBOOT DISABLED DISK_QUOTA IPV6);
my %LAST = map { $_ => 1 } qw(IOPRIO IOLIMIT IOPSLIMIT VE_LAYOUT NETFILTER MEMINFO VEID);

sub set {
    my ($p, $name, $value, $warn) = @_;
    my $invalid = sub { $warn->("Warning: invalid value for $name: $value, skipped"); return };
    if (exists $UNIT{$name}) {
        my $pair = pair($value, $UNIT{$name}) or return $invalid->();
        $p->{$name} = $pair;
    } elsif ($LISTS{$name}) {
        for my $word (split ' ', $value) {
            if ($name eq 'IP_ADDRESS') {
                next if $word =~ /^(0\.0\.0\.0|::|::0)$/;
                # What came before the first invalid word stays.
                return $warn->("Warning: invalid IP_ADDRESS $word, skipped") unless valid_address($word);
                (my $bare = $word) =~ s{/.*}{};
                next if grep { m{^\Q$bare\E(/|$)} } @{ $p->{$name} };
            } else {
                next if grep { $_ eq $word } @{ $p->{$name} };
            }
            push @{ $p->{$name} }, $word;
        }
    } elsif ($WORDS{$name}) {
        for my $word (split /[\s,]+/, $value) {
            next if $word eq '';
            my ($key, $state) = $word =~ /^(\w+):(on|off)$/i or do { $invalid->(); next };
            if ($name eq 'FEATURES') {
                # The real table compares four letters, so any unknown word of four letters is nfsd.
                my ($known) = grep { $_ eq lc $key } @FEATURES;
                $known = 'nfsd' if !defined $known && length $key == 4;
                if (!defined $known) { $warn->("Warning: unknown feature: $key"); next }
                # An "on" is never cleared by a later "off".
                $p->{$name}{$known} = ($p->{$name}{$known} || lc $state eq 'on') ? 1 : 0;
            } else {
                (my $cap = lc $key) =~ s/^cap_//;
                if (!grep { $_ eq $cap } @CAPABILITIES) { $warn->("Warning: unknown capability: $key"); next }
                $p->{$name}{$cap} = ($p->{$name}{$cap} || lc $state eq 'on') ? 1 : 0;
            }
        }
    } elsif ($name eq 'DISKSPACE' or $name eq 'DISKINODES') {
        return if exists $p->{$name};
        my $pair = pair($value, $name eq 'DISKSPACE' ? 'kib' : 'inodes');
        return $invalid->() if !$pair or $value =~ /unlimited/i;
        $p->{$name} = $pair;
    } elsif ($BOOLS{$name}) {
        return if exists $p->{$name};
        return $invalid->() unless $value =~ /^(yes|no)$/;
        $p->{$name} = $value;
    } else {
        return if exists $p->{$name} && !$LAST{$name};
        if ($name eq 'CPUUNITS') {
            return $invalid->() unless $value =~ /^\d+$/ && $value >= 8 && $value <= 500000;
        } elsif ($name eq 'IOPSLIMIT' or $name eq 'CPUS' or $name eq 'BOOTORDER') {
            return $invalid->() unless $value =~ /^\d+$/;
        } elsif ($name eq 'IOPRIO') {
            return $invalid->() unless $value =~ /^[0-7]$/;
        } elsif ($name eq 'CPULIMIT') {
            return $invalid->() unless $value =~ /^(\d*)%?$/;
            $value = int($1 || 0) * ($value =~ /%/ ? cpus() : 1);
        } elsif ($name eq 'IOLIMIT') {
            my $n = number($value, 'bytes');
            return $invalid->() unless defined $n;
            $value = $n > 2147483647 ? 0 : $n;
        }
        $p->{$name} = $value;
    }
    return;
}

sub cpus {
    open my $in, '<', '/proc/cpuinfo' or return 1;
    my $n = grep { /^processor\s*:/ } <$in>;
    return $n || 1;
}

sub valid_address {
    my ($word) = @_;
    my ($address, $prefix) = $word =~ m{^([0-9a-fA-F.:]+)(?:/(\d{1,3}))?$} or return 0;
    if ($address =~ /:/) {
        return 0 if defined $prefix && $prefix > 128;
        return $address =~ /::/ || ($address =~ tr/:/:/) == 7;
    }
    return 0 if defined $prefix && $prefix > 32;
    my @octets = split /\./, $address, -1;
    return @octets == 4 && !grep { !/^\d{1,3}$/ || $_ > 255 } @octets;
}

# VE_ROOT and VE_PRIVATE know one variable, once; a slash at the end goes.
sub subst_veid {
    my ($text, $ctid) = @_;
    return undef unless defined $text;
    $text =~ s/\$VEID/$ctid/ or $text =~ s/\$\{VEID\}/$ctid/;
    $text =~ s{/+\z}{} if $text ne '/';
    return $text;
}

sub global { return load('/etc/vz/vz.conf', sub { }) }

# The numbers that have a file NUMBER.conf; a name like 101.conf.migrated does not count, nor does a UUID.
sub numbers {
    opendir my $dir, $CONF_DIR or return ();
    my @found;
    for (readdir $dir) { push @found, $1 + 0 if /^(\d+)\.conf\z/ && $1 > 0 }
    return sort { $a <=> $b } @found;
}

# A number, or a name: a link in the names directory to NUMBER.conf whose NAME says the same. undef when it is neither.
sub resolve {
    my ($word) = @_;
    if ($word =~ /^\s*\+?(\d{1,10})\z/) { return $1 <= 2147483644 ? $1 + 0 : undef }
    return undef if $word =~ m{/} or $word eq '';
    my $target = readlink "$NAMES_DIR/$word";
    return undef unless defined $target && $target =~ m{(?:^|/)(\d+)\.conf\z};
    my $ctid = $1 + 0;
    my $p = load("$CONF_DIR/$ctid.conf", sub { }) or return undef;
    return ($p->{NAME} // '') eq $word ? $ctid : undef;
}

sub name_of {
    my ($ctid, $p) = @_;
    my $name = $p->{NAME};
    return undef if !defined $name or $name eq '' or $name =~ m{/};
    my $target = readlink "$NAMES_DIR/$name";
    return defined $target && $target =~ m{(?:^|/)0*$ctid\.conf\z} ? $name : undef;
}

# Replaces, in the file itself and not in a link to it, the first line of every changed parameter, or appends it; all
# other lines stay as they are and where they are.
sub save {
    my ($path, %new) = @_;
    my $real = $path;
    for (1 .. 16) {
        my $target = readlink $real;
        last unless defined $target;
        if ($target =~ m{^/}) { $real = $target } else { $real =~ s{[^/]*\z}{}; $real .= $target }
    }
    open my $in, '<', $real or return 0;
    my @lines = <$in>;
    close $in;
    $lines[-1] .= "\n" if @lines && $lines[-1] !~ /\n\z/;
    # A list of devices with an invalid word loses the rest when anything is saved.
    for (@lines) {
        next unless /^DEVICES=/ && !exists $new{DEVICES};
        my (undef, $value) = parse_line($_) or next;
        my @good;
        for my $word (split ' ', $value) { last unless $word =~ /^[bc]:\d+:(?:\d+|all):(?:none|[rwq]{1,3})\z/; push @good, $word }
        $_ = qq(DEVICES="@good"\n) if "@good" ne join ' ', split ' ', $value;
    }
    for my $name (sort keys %new) {
        my ($at) = grep { $lines[$_] =~ /^\Q$name\E=/ } 0 .. $#lines;
        my $line = qq($name="$new{$name}"\n);
        if (defined $at) { $lines[$at] = $line } else { push @lines, $line }
    }
    open my $out, '>', "$real.tmp" or return 0;
    print $out @lines;
    close $out or return 0;
    return rename "$real.tmp", $real;
}

1;
