# Starts Valkey with its users: the rules of this version of the chart, with the hashes of the passwords in the Secret.
set -eu
passwords=/etc/valkey/passwords
while IFS= read -r rule; do
    user=${rule#user }
    user=${user%% *}
    if [ "$user" = default ]; then
        printf '%s\n' "$rule"
    elif [ -s "$passwords/$user-password" ]; then
        hash=$(printf %s "$(cat "$passwords/$user-password")" | sha256sum)
        printf '%s\n' "${rule%%<*}${hash%% *}${rule#*>}"
    else
        echo "the Secret with Valkey's passwords has no $user-password: nobody signs in as $user" >&2
        case $user in receiver | worker | operator) exit 1 ;; esac
    fi
done < /etc/valkey/chart/users.acl > /etc/valkey/acl/users.acl
exec valkey-server /etc/valkey/chart/valkey.conf
