import re,os,sys,collections
root='src'
files=[os.path.join(a,f) for a,_,b in os.walk(root) for f in b if f.endswith('.rs')]
files=[f for f in files if '/tests/' not in f and not f.endswith('tests.rs') and '/bin/' not in f]
binroot='src/bin/tower-audit'
bins=[os.path.join(a,f) for a,_,b in os.walk(binroot) for f in b if f.endswith('.rs')]
def modpath(f,base):
    p=os.path.relpath(f,base)[:-3].split('/')
    if p[-1] in('mod','lib','main'): p=p[:-1]
    return tuple(p)
def strip(t):
    t=re.split(r'\n#\[cfg\(test\)\]\s*mod \w+ \{',t)[0]
    t=re.sub(r'//[^\n]*','',t); return t
def parse_tree(s):
    # returns list of (path tuple, alias)
    s=s.strip()
    out=[]
    def rec(prefix,s):
        s=s.strip()
        m=re.match(r'^(.*?)(?:::)?\{(.*)\}$',s,re.S)
        if m:
            pre=tuple(x.strip() for x in m.group(1).split('::') if x.strip())
            depth=0;cur='';
            for c in m.group(2):
                if c=='{':depth+=1
                if c=='}':depth-=1
                if c==',' and depth==0: rec(prefix+pre,cur);cur=''
                else: cur+=c
            if cur.strip(): rec(prefix+pre,cur)
        else:
            a=s.split(' as ')
            p=tuple(x.strip() for x in a[0].split('::') if x.strip())
            out.append((prefix+p,a[1].strip() if len(a)>1 else None))
    rec((),s); return out
def build(fs,base,crate):
    mods={modpath(f,base):f for f in fs}
    reexp={} # modpath -> {name: path}
    uses={}
    for f in fs:
        t=strip(open(f).read()); mp=modpath(f,base)
        u=[]
        for m in re.finditer(r'\b(pub(?:\([^)]*\))? )?use ([^;]+);',t):
            for p,al in parse_tree(m.group(2)):
                if m.group(1): reexp.setdefault(mp,{})[al or p[-1]]=p
                u.append((p,bool(m.group(1))))
        # inline paths crate::a::b / super::a
        for m in re.finditer(r'\b((?:crate|super|self)(?:::\w+)+)',re.sub(r'\buse [^;]+;','',t)):
            u.append((tuple(m.group(1).split('::')),False))
        # names of sibling modules used as path: handled by `use super::x`
        uses[f]=u
    def absolute(p,mp,f):
        if p[0]=='crate': return tuple(p[1:])
        if p[0]==crate: return tuple(p[1:])
        if p[0] in('self','super'):
            cur=list(mp)
            # for non-mod file, module itself is mp
            q=list(p)
            if q[0]=='self': q=q[1:]
            while q and q[0]=='super': cur=cur[:-1];q=q[1:]
            return tuple(cur)+tuple(q)
        if mp+(p[0],) in mods: return mp+tuple(p)
        return None
    def resolve(ab,depth=0):
        if ab is None or depth>10: return None
        # longest module prefix
        for i in range(len(ab),-1,-1):
            if ab[:i] in mods:
                rest=ab[i:]
                if rest and rest[0] in reexp.get(ab[:i],{}):
                    p=reexp[ab[:i]][rest[0]]
                    a2=absolute(p,ab[:i],None)
                    r=resolve(a2+tuple(rest[1:]) if a2 else None,depth+1)
                    if r: return r
                return mods[ab[:i]]
        return None
    E=collections.defaultdict(lambda: collections.defaultdict(set))
    for f,u in uses.items():
        mp=modpath(f,base)
        if f.endswith(('mod.rs','lib.rs')) : 
            pass
        for p,isre in u:
            ab=absolute(p,mp,f)
            r=resolve(ab)
            if r and r!=f:
                if isre and f.endswith('mod.rs'): continue
                E[f][r].add(p[-1])
    return E,mods
def scc(E,nodes):
    sys.setrecursionlimit(10000)
    idx={};low={};st=[];on=set();res=[];c=[0]
    def go(v):
        idx[v]=low[v]=c[0];c[0]+=1;st.append(v);on.add(v)
        for w in E.get(v,{}):
            if w not in idx: go(w);low[v]=min(low[v],low[w])
            elif w in on: low[v]=min(low[v],idx[w])
        if low[v]==idx[v]:
            comp=[]
            while True:
                w=st.pop();on.discard(w);comp.append(w)
                if w==v:break
            if len(comp)>1:res.append(sorted(comp))
    for v in nodes:
        if v not in idx: go(v)
    return res
if __name__=='__main__':
    E,mods=build(files,'src','tower_audit')
    B,bm=build(bins,binroot,'xx')
    for name,G in(('lib',E),('bin',B)):
        comps=scc(G,list(G))
        for c in comps:
            print(name,'CIRCLE',len(c))
            for f in c:
                for w in sorted(G[f]):
                    if w in c: print('   ',f.replace('src/',''),'->',w.replace('src/',''),':',', '.join(sorted(G[f][w]))[:120])
    # folder arrows
    F=collections.defaultdict(lambda: collections.defaultdict(set))
    def top(f):
        r=f[4:].split('/')
        return r[0].replace('.rs','')
    for f in E:
        for w in E[f]:
            a,b=top(f),top(w)
            if a!=b: F[a][b].add(f.replace('src/','')+'->'+w.replace('src/','')+':'+','.join(sorted(E[f][w])))
    for a in sorted(F):
        print(a,{b:len(F[a][b]) for b in F[a]})
        if '-v' in sys.argv:
            for b in F[a]:
                for x in sorted(F[a][b]): print('      ',x)
